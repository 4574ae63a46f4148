"""The fault catalogue whole: every fault that the design names has a test, here or elsewhere, that this file finds.

Each is passed when every key is there once, or recorded with its class, the run ends within two deadlines of a call or
parks with its reason, and neither tasks, timers, descriptors, threads nor objects are left behind. Where the fault goes
away, `resume` leads to the exact grid. The tests are in `test_faults_*.py`, what they share in `fault_runs.py`.
"""

from __future__ import annotations

import ast

import pytest

from support.places import TESTS

NETWORK, ANSWERS = "test_faults_network.py", "test_faults_answers.py"
LIMITS, PROCESS = "test_faults_limits.py", "test_faults_process.py"
ON_THE_WAY = f"{NETWORK}::test_a_network_fault_costs_only_its_row_until_resume"
NOBODY_GETS_IN = f"{NETWORK}::test_a_server_that_rejects_connections_parks_at_once"
NO_ANSWER = f"{ANSWERS}::test_an_unusable_answer_costs_only_its_row_until_resume"
STRANGE = f"{ANSWERS}::test_a_strange_answer_is_kept_as_it_is"
REFUSED = f"{ANSWERS}::test_a_refused_row_is_not_paid_for_again_and_others_go_on"
PARKED = f"{ANSWERS}::test_an_error_for_every_row_parks_and_resume_asks_the_rest"
TOO_LONG = f"{ANSWERS}::test_a_body_past_the_limit_is_not_read_on"
TOO_FAST = f"{LIMITS}::test_a_429_is_waited_for_and_costs_no_row_and_no_attempt"

CATALOGUE = {
    "accept and never answer": ON_THE_WAY,
    "never answer anybody": f"{NETWORK}::test_a_server_that_never_answers_is_left_after_two_deadlines_of_a_row",
    "headers then silence": ON_THE_WAY,
    "a byte a second": ON_THE_WAY,
    "reset before sending": NOBODY_GETS_IN,
    "reset after sending": ON_THE_WAY,
    "a body cut short": ON_THE_WAY,
    "refused": f"{NETWORK}::test_a_refused_connection_parks_the_run_at_once",
    "black hole": f"{NETWORK}::test_a_black_hole_parks_within_two_deadlines",
    "DNS": f"{NETWORK}::test_a_name_that_does_not_exist_parks_the_run_at_once",
    "TLS": NOBODY_GETS_IN,
    "server restarted": f"{NETWORK}::test_a_server_that_restarts_costs_no_row",
    "keep-alive closed at the moment of reuse": (
        f"{NETWORK}::test_a_server_closing_each_reused_connection_costs_no_row"
    ),
    "Retry-After in seconds, ms, date, huge, negative, garbage, none": TOO_FAST,
    "429 for ten minutes": "test_at_limit.py::test_ten_minutes_of_nothing_but_429_cost_no_row_and_no_attempt",
    "insufficient_quota": PARKED,
    "401 in mid-run": PARKED,
    "bursts of 500, 502, 503, 504, 529": f"{ANSWERS}::test_a_server_that_fails_for_a_while_costs_no_row",
    "500, 502, 503, 504, 529, 408, 409": NO_ANSWER,
    "a 400 for one row only": REFUSED,
    "a 200 with an error body": NO_ANSWER,
    "HTML": NO_ANSWER,
    "empty choices": NO_ANSWER,
    "null content": NO_ANSWER,
    "refusal": REFUSED,
    "content filter": REFUSED,
    "length": STRANGE,
    "broken UTF-8": STRANGE,
    "lone surrogates": STRANGE,
    "NUL": STRANGE,
    "a line of megabytes": STRANGE,
    "a 10 MB line": TOO_LONG,
    "escapes": STRANGE,
    "missing or wrong usage": STRANGE,
    "a doubled answer": STRANGE,
    "a swapped answer": "test_plain_transport.py::test_an_abandoned_call_closes_its_connection",
    "a 100 MB body": TOO_LONG,
    "a gzip bomb": NO_ANSWER,
    "SIGTERM, Ctrl-C once": "test_crash.py::test_p12_one_signal_drains_and_the_run_can_be_resumed",
    "Ctrl-C twice": "test_crash.py::test_p12_a_second_ctrl_c_drops_calls_in_flight",
    "Ctrl-C while parked": f"{PROCESS}::test_ctrl_c_ends_a_parked_sleep_at_once",
    "Ctrl-C while waiting": f"{PROCESS}::test_ctrl_c_ends_a_rate_limit_wait_at_once",
    "Ctrl-C while recovering": f"{PROCESS}::test_a_signal_during_recovery_leaves_a_resumable_run",
    "closed stdout": "test_cli.py::test_a_reader_that_goes_away_ends_no_run",
    "SIGSTOP for a minute": (f"{PROCESS}::test_a_process_stopped_for_a_minute_takes_missed_answers"),
    "clock steps": f"{PROCESS}::test_a_wall_clock_step_changes_nothing",
    "the run folder removed": f"{PROCESS}::test_a_run_whose_folder_is_removed_is_not_done",
    "two processes on one run": "test_api.py::test_p8_the_same_run_twice_at_once_is_refused",
    "the spec edited": "test_cli.py::test_answers_to_other_questions_are_never_mixed",
    "another version's folder": "test_cli.py::test_a_folder_of_another_version_is_refused",
    "a damaged row": "test_cli.py::test_a_damaged_journal_is_exit_code_4_and_is_not_touched",
    "the event loop blocked": (f"{PROCESS}::test_a_loop_blocked_past_the_connect_timeout_costs_no_call"),
    "eight hours' soak": (f"{LIMITS}::test_eight_hours_of_usual_trouble_leak_nothing"),
    "a worker's exception is never swallowed": ("test_engine.py::test_p11_an_internal_error_costs_only_its_own_row"),
    "a cancelled reservation never leaks": ("test_gate.py::test_everybody_goes_in_order_and_every_ticket_is_settled"),
}


@pytest.mark.parametrize("place", sorted(set(CATALOGUE.values())))
def test_every_catalogued_fault_has_its_test(place: str) -> None:
    """Each test that the fault catalogue names exists in the named file."""
    file, _, name = place.partition("::")
    (path,) = TESTS.rglob(file)
    tests = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in tests
