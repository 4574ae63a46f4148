"""`finetune`: from rows to a tuned model."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import takes_options
from herogen_async.cli.shell import JsonOption, out, print_json, say
from herogen_async.core.options import as_words
from herogen_async.tune.options import AGREED, FINETUNE_OPTIONS, SETTLED

if TYPE_CHECKING:
    from herogen_async.tune.finetune import FinetuneResult, TunedModel, TuningObserver

_EPILOG = examples(
    "herogen-async finetune superhero --backend local --epochs 2",
    "herogen-async finetune superhero --base-url https://api.example.com/v1 --model some-model",
    "herogen-async finetune superhero --model gpt-4.1-mini --field trainingType=GlobalStandard",
    remark="A service may charge for it: the command tells what, and asks; --yes or --budget agree beforehand. "
    "The same command again attaches to the existing job; Ctrl-C detaches and never cancels. "
    "Exit codes: 0 done, or started with --no-watch; 1 the job failed or was cancelled elsewhere; "
    "2 wrong input, or a refusal that names the cause; "
    "3 paused, the same command continues (service unreachable, key refused, trainer killed, no model name yet); "
    "130 detached, or not agreed to.",
)
_PARKED, _NOT_STARTED = 3, 130


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(finetune)


@takes_options(FINETUNE_OPTIONS)
def finetune(
    target: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run, or a JSON lines file to train on.")],
    evaluate: Annotated[
        bool, typer.Option("--eval", help="Then compare the tuned model with its base on held-out rows.")
    ] = False,
    json: JsonOption = False,
    **options: Any,
) -> None:
    """Fine-tune a model on a run's answers or a file. Uploads, starts the job, watches it, records the model's name.

    Each step is logged before it happens, so the same command continues where the last one ended and never uploads or
    starts anything twice.
    """
    outcome = _driven(target, options, json=json)
    for line in outcome.lines():
        (say if json else out)(line)
    known, code = outcome.as_dict(), outcome.exit_code
    if evaluate and outcome.tuned is not None:
        known["evaluation"], code = _evaluated(outcome.tuned, json)
    say(f"Next: {outcome.next if not code or outcome.tuned is None else _again(target, {}) + ' --eval'}")
    if json:
        print_json(known)
    if code:
        raise typer.Exit(code)


def _driven(target: str, options: Mapping[str, Any], *, json: bool) -> FinetuneResult:
    """The outcome; an unreachable service, a refused key or a full disk parks."""
    from dataclasses import replace

    from herogen_async.cli.shell import print_error
    from herogen_async.core.errors import DiskError, EndpointError, Interrupted

    # With all that was said: nothing may be written down yet that it could be taken from.
    again = _again(target, options)
    try:
        outcome = _agreed(target, options)
    except (EndpointError, DiskError) as error:
        print_error(error)
        say(f"Next: {again}")
        raise typer.Exit(_PARKED) from None
    except Interrupted as detached:
        say(f"{detached.message[0].upper()}{detached.message[1:]}.")
        say(f"To cancel the job: {again} --cancel")
        say(f"Next: {again}")
        if json:
            print_json({"error": detached.message, "kind": detached.kind, "fix": again})
        raise typer.Exit(detached.exit_code) from None
    return replace(outcome, next=_next(outcome, target, options))


def _agreed(target: str, options: Mapping[str, Any]) -> FinetuneResult:
    """The outcome; what may cost money begins once a person at this terminal says so. AgreementNeeded elsewhere."""
    from herogen_async.core.errors import AgreementNeeded

    told: set[str] = set()
    try:
        return _tuned(target, options, told)
    except AgreementNeeded:
        if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()):
            raise
    try:
        starts = typer.confirm("Start this fine-tune?", err=True)
    except typer.Abort:
        starts = False
    if not starts:
        say("Not started: nothing was sent.")
        say(f"Next: {_again(target, options)} --yes")
        raise typer.Exit(_NOT_STARTED)
    return _tuned(target, {**options, "yes": True}, told)


def _tuned(target: str, options: Mapping[str, Any], told: set[str]) -> FinetuneResult:
    from herogen_async.cli.told_once import ToldOnce
    from herogen_async.tune.finetune import finetune as tune

    with _display() as observer:
        return tune(target, **options, watch=ToldOnce(observer, told))


def _again(target: str, options: Mapping[str, Any]) -> str:
    """The same command: its settings and what was agreed to, without its actions."""
    kept = {name: value for name, value in options.items() if name in (*SETTLED, *AGREED)}
    words = as_words(FINETUNE_OPTIONS, kept) + ["--yes"] * bool(options.get("yes"))
    return " ".join(["herogen-async finetune", shlex.quote(target), *words])


def _next(outcome: FinetuneResult, target: str, options: Mapping[str, Any]) -> str:
    from herogen_async.tune.evaluation import sample_question
    from herogen_async.tune.finetune import settings_of

    if outcome.tuned is not None:
        question = sample_question(outcome.tuned)
        return f"herogen-async query {shlex.quote(target)} {'--chat' if question is None else shlex.quote(question)}"
    if outcome.status in ("failed", "cancelled"):
        # One that is new takes nothing from the one before it: without its options it would be tuned elsewhere.
        known = {**settings_of(outcome.folder), "validation": options.get("validation")}
        return f"{_again(target, known)} --new"
    return _again(target, {})


def _evaluated(tuned: TunedModel, json: bool) -> tuple[dict[str, Any], int]:
    """The evaluation and the exit code; its failure does not affect the tuned model."""
    from herogen_async.cli.spinner import waiting
    from herogen_async.core.errors import EndpointError, HerogenError, Interrupted
    from herogen_async.tune.evaluation import evaluate_tuned

    failed: HerogenError
    try:
        with waiting(f"evaluating {tuned.name}") as wait:
            evaluation = evaluate_tuned(tuned, observer=wait)
    except KeyboardInterrupt:
        failed = Interrupted("evaluation stopped")
    except HerogenError as error:
        failed = error
    else:
        for line in evaluation.lines():
            (say if json else out)(line)
        return evaluation.as_dict(), 0
    say(f"error: no evaluation: {failed.message}")
    if failed.fix:
        say(f"  fix: {failed.fix}")
    say("The tuned model is still recorded.")
    code = _PARKED if isinstance(failed, EndpointError) else failed.exit_code
    return {"error": failed.message, "kind": failed.kind, "fix": failed.fix}, code


@contextlib.contextmanager
def _display() -> Iterator[TuningObserver]:
    """A live panel on a terminal that can draw one, plain lines elsewhere."""
    from herogen_async.cli.download_progress import weights_bar
    from herogen_async.cli.run_display import terminal

    console = terminal()
    if console is None:
        from herogen_async.view.terminal.finetune_view import PlainTuning

        with weights_bar(None) as on_weights:
            yield PlainTuning(say, on_weights)
        return
    from herogen_async.view.terminal.finetune_view import TuningPanel

    with weights_bar(console) as on_weights, TuningPanel(console, on_weights) as panel:
        yield panel
