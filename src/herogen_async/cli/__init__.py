"""The commands. Each imports the rooms it needs when it is called, so that `--help` is instant."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from herogen_async.cli.command_help import GroupedCommand
from herogen_async.cli.few_collections import collecting_seldom
from herogen_async.cli.shell import Printed, error_of, print_error, print_json
from herogen_async.cli.standard_streams import open_closed_streams
from herogen_async.core.errors import DiskError, HerogenError

# In the order of `--help`. One that is asked for is loaded without the others: it starts some 20 ms sooner.
COMMANDS = {
    "init": "init_command",
    "plan": "plan_command",
    **dict.fromkeys(("run", "resume", "retry", "status", "errors"), "run_commands"),
    **dict.fromkeys(("show", "runs"), "show_command"),
    "view": "view_command",
    "ctl": "ctl_command",
    "merge": "merge_command",
    "restore": "restore_command",
    **dict.fromkeys(("export", "assemble"), "dataset_commands"),
    "prepare": "prepare_command",
    "import": "import_command",
    "finetune": "finetune_command",
    "query": "query_command",
    **dict.fromkeys(("verify", "recover"), "verify_command"),
    "doctor": "doctor_command",
    "simulate": "simulate_command",
    "bench": "bench_command",
}


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        print(f"herogen-async {version('herogen-async')}")
        raise typer.Exit


@cache
def app_of(*files: str) -> typer.Typer:
    """The program with the commands of some modules of this room."""
    made = typer.Typer(
        name="herogen-async",
        help="Generate training data from language models: fast, and without losing or re-buying an answer.",
        epilog="Start with: herogen-async run --limit 8",
        no_args_is_help=True,
        rich_markup_mode=None,  # rich costs 60 ms a call of --help
        pretty_exceptions_enable=False,  # a traceback that prints variables prints secrets
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    made.callback()(_root)
    for file in dict.fromkeys(files):
        import_module(f"herogen_async.cli.{file}").register(made)
    for each in made.registered_commands:
        each.cls = GroupedCommand
    return made


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # Without a callback a module's only command would be the whole program, and its name an argument.
    pass


def __getattr__(name: str) -> Any:
    """`app` is the whole program."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return app_of(*COMMANDS.values())


_ENDS_ON_DISK = ("run", "resume", "retry")  # what they came to is in the run's folder, whoever could read of it
USAGE_ERROR = 2  # typer's own exit code for a command line that it can't read


def main() -> None:
    """The program `herogen-async`. Exit codes: 0 done, 1 rows failed, 2 wrong input, 3 parked, 4 damage, 130."""
    open_closed_streams()
    Printed.json, Printed.lost = False, None
    command = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        with collecting_seldom():
            app_of(*[COMMANDS[command]] if command in COMMANDS else COMMANDS.values())()
    except SystemExit as ended:
        if not ended.code and Printed.lost is not None:  # who reads the file would take it for all there is
            lost = DiskError(f"can't write to standard output: {Printed.lost.strerror}", fix="free some space")
            print_error(lost)
            sys.exit(0 if command in _ENDS_ON_DISK else lost.exit_code)
        if ended.code == USAGE_ERROR and "--json" in sys.argv and not Printed.json:  # it was said on stderr only
            print_json({"error": "the command line is wrong", "kind": "usage", "fix": "see standard error"})
        raise
    except HerogenError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except OSError as refused:
        told = error_of(refused)
        print_error(told)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
