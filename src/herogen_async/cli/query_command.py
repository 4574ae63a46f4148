"""`query`: ask a tuned model."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import shared, takes_options
from herogen_async.cli.reply_text import compared, example
from herogen_async.cli.shell import out, out_piece, print_error, print_json, say
from herogen_async.generation.observer import Observer
from herogen_async.tune.asking import QUERY_OPTIONS, Asking

if TYPE_CHECKING:
    from herogen_async.cli.growing_answer import GrowingAnswer
    from herogen_async.tune.query import QuestionText, Reply, Target, TextPiece

_EPILOG = examples(
    'herogen-async query superhero "40, woman, Healing" --samples 3',
    "herogen-async query superhero --age 40 --gender woman --power Healing",
    "herogen-async query superhero --json < questions.jsonl",
    remark=(
        "Standard input may hold many questions: one per line, or JSON lines with a prompt, messages or attributes; "
        "all are checked before the first is asked. With --json each line of stdout is one JSON object, one per answer."
    ),
)
_PARKED = 3
_OPTIONS = ("base-url", "endpoint", "compare", "chat", "json", *(each.word for each in QUERY_OPTIONS.values()))


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG, context_settings={"ignore_unknown_options": True})(query)


@takes_options(QUERY_OPTIONS)
def query(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL",
            help="A run (its latest fine-tune), a tuned model's name, any model of a server, `embedded` or a .gguf.",
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUESTION ...]", help="The question; default: standard input.", show_default=False),
    ] = None,
    base_url: Annotated[str | None, shared("base_url", "where the model was made")] = None,
    endpoint: Annotated[str | None, shared("endpoint", "as the model was taught")] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="base", help="Show the base model's answers side by side.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Ask question after question interactively.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per answer, one per line.")] = False,
    **options: Any,
) -> None:
    """Ask a tuned model. The separator and stop of its data set are added."""
    from herogen_async.core.errors import EndpointRefused, InputError
    from herogen_async.tune.query import find_target, question_from, split_flags

    if compare not in (None, "base"):
        raise InputError(f"--compare can't be {compare!r}", fix="--compare base")
    how = Asking(compare=compare is not None, **options)
    how.check()
    prompts, flags = split_flags(words or [], _OPTIONS)
    target = find_target(model, os.environ, base_url=base_url, endpoint=endpoint)
    if flags:
        prompts.append(question_from(flags, target.recipe, _OPTIONS))
    try:
        if chat:
            _require_no_questions(prompts, json)
            from herogen_async.cli.playground import play

            play(target, how)
            return
        failed = _ask(target, how, prompts, json=json, again=_again(model, base_url, endpoint))
    except EndpointRefused as refused:
        print_error(refused)
        say(f'Next: {_again(model, base_url, endpoint)} "..."')
        raise typer.Exit(_PARKED) from None
    if failed:
        raise typer.Exit(1)


def _ask(target: Target, how: Asking, prompts: list[str], *, json: bool, again: str) -> int:
    """Ask and print; returns how many were not answered."""
    import asyncio

    from herogen_async.cli.spinner import waiting
    from herogen_async.core.clock import MonotonicClock
    from herogen_async.tune.query import checked, each, open_model

    asked: Sequence[QuestionText] = [checked(prompt, target.recipe) for prompt in prompts] or _standard_input(target)
    printer = _Printer(how, several=not prompts or len(asked) * how.samples > 1, json=json)

    async def work() -> None:
        with waiting(f"asking {target.model.name}") as wait:
            printer.before = wait.end
            if not json and len(asked) * how.samples == 1 and not how.compare:
                printer.growing = _growing(target)
            ready = open_model(target, how, MonotonicClock(), prompts=asked, observer=wait)
            async with ready as model_session:
                await model_session.ask(each(asked), how, printer, None if printer.growing is None else printer.hear)

    asyncio.run(work())
    if not json:
        say(f"Next: {again} --chat")
    return printer.failed


class _Printer(Observer["Reply", None]):
    """Prints replies: their texts alone on standard output, all that is said of them on standard error."""

    def __init__(self, how: Asking, *, several: bool, json: bool) -> None:
        self.failed = 0
        self.before: Callable[[], None] = lambda: None
        self.growing: GrowingAnswer | None = None
        self._how = how
        self._several = several
        self._json = json

    def hear(self, piece: TextPiece) -> None:
        """A token of the one answer that is asked for."""
        self.before()
        if self.growing is not None:
            self.growing.add(piece.text)

    def call_ended(self, record: Reply, /) -> None:
        """An answer."""
        self.before()
        if self.growing is not None and record.answer is None:
            self.growing.break_off()
        self._print(record)
        if _reader_is_gone():
            from herogen_async.core.errors import Interrupted

            raise Interrupted("standard output was closed; no more questions are sent")

    def _print(self, reply: Reply) -> None:
        from herogen_async.tune.query import ending_note, is_cut_off

        self.failed += reply.error is not None or reply.base_error is not None
        if self._json:
            print_json(reply.as_dict())
            return
        if self._several or self._how.compare:
            sample = f"  ({reply.sample} of {self._how.samples})" if self._how.samples > 1 else ""
            say(f"— {reply.prompt}{sample}")
        if self._how.compare:
            for line in compared(reply):
                out(line)
        elif reply.answer is not None and self.growing is not None:
            self.growing.end(reply.answer.text)
        elif reply.answer is not None:
            out(reply.answer.text)
        for error in (reply.error, reply.base_error):
            if error is not None:
                print_error(error)
        if reply.answer is not None and not self._how.compare and (note := ending_note(reply.answer)):
            say(f"  ({note}; raise --max-tokens for a longer answer)" if is_cut_off(reply.answer) else f"  ({note})")


def _growing(target: Target) -> GrowingAnswer | None:
    """The place where the embedded model's one answer grows; None where standard output is no terminal."""
    import shutil

    from herogen_async.cli.growing_answer import GrowingAnswer

    if target.server is not None or sys.stdout is None or not sys.stdout.isatty():
        return None
    return GrowingAnswer(target.recipe.answer_so_far, shutil.get_terminal_size().columns, out_piece)


def _reader_is_gone() -> bool:
    """Whether the program that standard output goes to has ended, as `head` does: answers would cost for nothing."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _standard_input(target: Target) -> list[QuestionText]:
    """All of its questions: none is paid for before every one is known to be good."""
    from herogen_async.core.errors import InputError
    from herogen_async.tune.query import MAX_STDIN_BYTES, questions_in

    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("no question given", fix=f"give a question, e.g. {example(target)}, or use --chat")
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        data = sys.stdin.read().encode() if buffer is None else buffer.read(MAX_STDIN_BYTES + 1)
    except (OSError, ValueError) as error:  # a stream that is closed, a terminal that is gone
        raise InputError(f"can't read standard input: {error}", fix="read the questions from a file") from None
    return questions_in(data, target.recipe, chat=target.endpoint == "chat")


def _require_no_questions(prompts: list[str], json: bool) -> None:
    from herogen_async.core.errors import InputError

    if prompts or json:
        raise InputError("--chat takes its questions interactively", fix="remove the question and --json")


def _again(model: str, base_url: str | None, endpoint: str | None) -> str:
    """The command that asks the same model."""
    import shlex

    options = {"--base-url": base_url, "--endpoint": endpoint}
    return shlex.join(
        ["herogen-async", "query", model, *(word for each in options.items() if each[1] for word in each if word)]
    )
