"""The commands. Each imports the rooms it needs when it is called, so that `--help` is instant."""

from __future__ import annotations

import sys

import typer

from herogen_async.cli import (
    bench_command,
    ctl_command,
    dataset_commands,
    doctor_command,
    finetune_command,
    init_command,
    plan_command,
    prepare_command,
    query_command,
    run_commands,
    simulate_command,
    verify_command,
)
from herogen_async.cli.shell import Printed, print_error, print_json
from herogen_async.core.errors import HerogenError

app = typer.Typer(
    name="herogen-async",
    help="Generate training data from language models: fast, and without losing or re-buying an answer.",
    epilog="Start with: herogen-async run --limit 8",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs 60 ms a call of --help
    pretty_exceptions_enable=False,  # a traceback that prints variables prints secrets
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for module in (
    init_command,
    plan_command,
    run_commands,
    ctl_command,
    dataset_commands,
    prepare_command,
    finetune_command,
    query_command,
    verify_command,
    doctor_command,
    simulate_command,
    bench_command,
):
    module.register(app)


USAGE_ERROR = 2  # typer's own exit code for a command line that it can't read


def main() -> None:
    """The program `herogen-async`. Exit codes: 0 done, 1 rows given up, 2 wrong input, 3 parked, 4 damage, 130."""
    Printed.json = False
    try:
        app()
    except SystemExit as ended:
        if ended.code == USAGE_ERROR and "--json" in sys.argv and not Printed.json:  # it was said on stderr only
            print_json({"error": "the command line is wrong", "kind": "usage", "fix": "see standard error"})
        raise
    except HerogenError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
