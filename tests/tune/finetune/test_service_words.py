"""What services that are not OpenAI say of a job: how it stands, when, how far, and the name of its model."""

from __future__ import annotations

from typing import Any

import pytest

from herogen_async.tune.finetune.records import CANCELLED, FAILED, SUCCEEDED
from herogen_async.tune.finetune.service_words import (
    model_of,
    number_in,
    reason_of,
    seconds_since_1970,
    status_of,
    status_word,
)


@pytest.mark.parametrize(
    ("words", "means"),
    [
        (
            "succeeded SUCCESS completed COMPLETE Completed JOB_STATE_COMPLETED STATUS_READY FineTuneStatus.DONE",
            SUCCEEDED,
        ),
        (
            "failed ERROR errored user_error FAILED_VALIDATION validation-failed expired JOB_STATE_FAILED timedOut",
            FAILED,
        ),
        ("cancelled canceled CANCELED stopped Stopped aborted JobState.CANCELLED terminated", CANCELLED),
    ],
)
def test_each_word_for_an_end_ends_a_job(words: str, means: str) -> None:
    """Whatever its letters' case, its prefix, and what stands between its words."""
    assert {means} == {status_of(word) for word in words.split()}


def test_a_word_for_work_goes_on_and_any_other_is_none() -> None:
    """`cancelling` is no end yet, and a word that nobody knows is no word for anything."""
    going = (
        "queued Running IN_PROGRESS inProgress cancelling CANCELLATION_REQUESTED validating_files notRunning stopping"
    )
    assert not {None, SUCCEEDED, FAILED, CANCELLED} & {status_of(word) for word in going.split()}
    assert {None} == {status_of(word) for word in ("half_baked", "", "COMPLETED_WITH_WARNINGS?")}


@pytest.mark.parametrize(
    "told",
    [
        *(1_777_629_602, 1_777_629_602_000, 1_777_629_602_000_000, "1777629602", "1777629602000", 1777629602.0),
        *("2026-05-01T10:00:02Z", "2026-05-01T12:00:02+02:00", "2026-05-01 10:00:02", "2026-05-01T10:00:02.000000000Z"),
        "Fri, 01 May 2026 10:00:02 GMT",
    ],
)
def test_a_time_is_read_however_it_is_written(told: Any) -> None:
    """Seconds, milliseconds, microseconds, ISO 8601 in any zone, an HTTP date; a text without a zone is UTC."""
    assert 1_777_629_602.0 == seconds_since_1970(told)


@pytest.mark.parametrize("told", [None, True, "soon", "", float("nan"), 10**400, {}, "0000-00-00T00:00:00Z"])
def test_what_is_no_time_is_none(told: Any) -> None:
    """It costs no traceback."""
    assert seconds_since_1970(told) is None


@pytest.mark.parametrize(
    ("told", "number"),
    [
        *(
            (12, 12),
            ("12", 12),
            ("12/100", 12),
            ("step 12", 12),
            ("step-12", 12),
            ("-1.5", -1.5),
            ("1,200", 1200),
            ("0.5", 0.5),
        ),
        *(
            (True, None),
            (None, None),
            ("none", None),
            (float("inf"), None),
            (10**400, None),
            ("1e999", None),
            ([1], None),
        ),
    ],
)
def test_a_step_or_a_loss_may_be_a_text(told: Any, number: float | None) -> None:
    """What is no finite number is none."""
    assert number == number_in(told)


@pytest.mark.parametrize(
    ("job", "model"),
    [
        ({"fine_tuned_model": "ft:m:x", "output_name": "other"}, "ft:m:x"),
        ({"fine_tuned_model": None, "output_name": "acct/m-1"}, "acct/m-1"),
        ({"model": "base", "outputModel": "accounts/a/models/b"}, "accounts/a/models/b"),
        ({"tunedModel": {"model": "projects/1/models/2", "endpoint": "e"}}, "projects/1/models/2"),
        ({"fine_tuned_model": {"id": "ft-1"}}, "ft-1"),
        ({"model": "base", "output": "s3://bucket/folder", "fine_tuned_model": ""}, None),
        ({"model": "base"}, None),
    ],
)
def test_the_models_name_is_found_where_services_put_it(job: dict[str, Any], model: str | None) -> None:
    """Never the base model's, and no folder's."""
    found = model_of(job)
    assert model == (None if found is None else found[0])


def test_the_status_and_the_reason_are_found_in_other_shapes() -> None:
    """`state` beside a `status` that is an object, and errors as a text, a list or under another name."""
    assert "FAILED" == status_word({"status": {"message": "no room"}, "state": "FAILED"})
    assert "no room" == reason_of({"status": {"message": "no room"}})
    assert "line 3; line 4" == reason_of({"error": None, "errors": [{"message": "line 3"}, "line 4"]})
    assert "gone" == reason_of({"failure_reason": "gone"})
    assert "no quota" == reason_of({"status": "USER_ERROR", "message": "no quota"})
    assert "" == reason_of({"error": {}})
    assert "Failed" == status_word({"status": {"phase": "Failed", "message": "evicted"}})
    assert "processing" == status_of(status_word({"state": "FILE_STATE_PROCESSING"}))
