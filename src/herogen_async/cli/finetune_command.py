"""`finetune`: from rows to a tuned model."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.shell import JsonOption, out, print_json, say

if TYPE_CHECKING:
    from herogen_async.tune.finetune import FinetuneResult, TunedModel, TuneWatch

_EPILOG = (
    "Example: herogen-async finetune superhero --backend local --epochs 2. "
    "Example: herogen-async finetune superhero --base-url https://api.example.com/v1 --model some-model. "
    "The same command again attaches to what is there; Ctrl-C detaches and never cancels. "
    "Exit codes: 0 done, or started with --no-watch; 1 the job failed, or was cancelled elsewhere; "
    "2 wrong input, or a refusal that names what is wrong; "
    "3 it stands still, the same command goes on (service out of reach, key refused, trainer killed); 130 detached."
)
_PARKED = 3


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(finetune)


def finetune(
    target: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run, or a file of JSON lines to tune on.")],
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="openai|local",
            help="Any OpenAI-shaped service, or this machine.",
            show_default="local with neither a base URL nor a key",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model to tune; local: embedded, a .gguf file, or a folder.", show_default="embedded"),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="The service's base URL; on this machine it needs no key.")
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="messages|prompt-completion",
            help="What a run's rows are assembled as.",
            show_default="what the backend learns from",
        ),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option(help="Up to 64 characters that become part of the model's name.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="How often the rows are gone through.")] = None,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows to measure on.", show_default="those that assemble held out"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives about the same model.")] = None,
    method: Annotated[str | None, typer.Option(help="openai: supervised or dpo; local: lora or full.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="local: the learning rate; openai: a multiplier of the service's own.")
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option("--watch/--no-watch", help="Watch the job to its end, or leave it once it is started."),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--eval", help="Then compare the tuned model with its base, on rows that were held out.")
    ] = False,
    new: Annotated[bool, typer.Option("--new", help="Start another beside the ones that are there.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the job.")] = False,
    resend: Annotated[
        bool,
        typer.Option("--resend", help="The call whose answer was lost did not arrive (you looked): send it again."),
    ] = False,
    adopt: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The call whose answer was lost did arrive (you looked): it made this file or job."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fine-tune a model on a run's answers, or on a file: upload, start the job, watch it, keep the model's name.

    Each step is written down before it is made, so the same command again goes on wherever the last one ended, and
    never uploads or starts anything twice.
    """
    settings = {
        "backend": backend,
        "model": model,
        "base_url": base_url,
        "format": file_format,
        "suffix": suffix,
        "epochs": epochs,
        "validation": validation,
        "seed": seed,
        "method": method,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    what = {"watch_job": watch, "new": new, "cancel": cancel, "resend": resend, "adopt": adopt}
    outcome = _driven(target, settings, json=json, **what)
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


def _driven(target: str, settings: dict[str, Any], *, json: bool, **what: Any) -> FinetuneResult:
    """The outcome; a service out of reach, or one that refuses the key, parks."""
    from dataclasses import replace

    from herogen_async.cli.shell import print_error
    from herogen_async.core.errors import EndpointError, Interrupted
    from herogen_async.tune.finetune import finetune as tune

    # With all that was said: nothing may be written down yet that it could be taken from.
    again = _again(target, settings)
    try:
        with _display() as watch:
            outcome = tune(target, **settings, **what, watch=watch)
    except EndpointError as error:
        print_error(error)
        say(f"Next: {again}")
        raise typer.Exit(_PARKED) from None
    except Interrupted as detached:
        say(f"{detached.message[0].upper()}{detached.message[1:]}.")
        say(f"To end it: {again} --cancel")
        say(f"Next: {again}")
        if json:
            print_json({"error": detached.message, "kind": detached.kind, "fix": again})
        raise typer.Exit(detached.exit_code) from None
    return replace(outcome, next=_next(outcome, target, settings))


def _again(target: str, settings: dict[str, Any]) -> str:
    said = {name.replace("_", "-"): str(value) for name, value in settings.items() if value is not None}
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in said.items())
    return f"herogen-async finetune {shlex.quote(target)}{options}"


def _next(outcome: FinetuneResult, target: str, settings: dict[str, Any]) -> str:
    from herogen_async.tune.finetune import settings_of

    if outcome.tuned is not None:
        return f'herogen-async query {shlex.quote(target)} "..."'
    if outcome.status in ("failed", "cancelled"):
        # One that is new takes nothing from the one before it: without its options it would be tuned elsewhere.
        return f"{_again(target, {**settings_of(outcome.folder), 'validation': settings['validation']})} --new"
    return _again(target, {})


def _evaluated(tuned: TunedModel, json: bool) -> tuple[dict[str, Any], int]:
    """The evaluation, and the exit code; what went wrong with it takes nothing from the model, which is kept."""
    from herogen_async.core.errors import EndpointError, HerogenError, Interrupted
    from herogen_async.tune.evaluation import evaluate_tuned

    failed: HerogenError
    try:
        evaluation = evaluate_tuned(tuned, say=say)
    except KeyboardInterrupt:
        failed = Interrupted("the evaluation was stopped")
    except HerogenError as error:
        failed = error
    else:
        for line in evaluation.lines():
            (say if json else out)(line)
        return evaluation.as_dict(), 0
    say(f"error: no evaluation: {failed.message}")
    if failed.fix:
        say(f"  fix: {failed.fix}")
    say("The tuned model is recorded all the same.")
    code = _PARKED if isinstance(failed, EndpointError) else failed.exit_code
    return {"error": failed.message, "kind": failed.kind, "fix": failed.fix}, code


@contextlib.contextmanager
def _display() -> Iterator[TuneWatch]:
    """A live panel on a terminal that can draw one, plain lines elsewhere."""
    from herogen_async.cli.download_progress import weights_bar
    from herogen_async.cli.run_commands import terminal
    from herogen_async.tune.finetune import TuneWatch

    console = terminal()
    if console is None:
        from herogen_async.view.terminal.finetune_view import PlainTuning

        with weights_bar(None) as on_weights:
            yield TuneWatch(on_notice=say, on_tuning=PlainTuning(say), on_weights=on_weights)
        return
    from herogen_async.view.terminal.finetune_view import TuningPanel

    with weights_bar(console) as on_weights, TuningPanel(console) as panel:
        yield TuneWatch(on_notice=panel.notice, on_tuning=panel, on_weights=on_weights)
