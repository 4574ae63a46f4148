"""`query --chat`: question after question, in a terminal or from a script."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from herogen_async.cli.reply_text import compared, example
from herogen_async.cli.shell import out, print_error, say
from herogen_async.cli.spinner import Waiting, waiting
from herogen_async.core.errors import EndpointRefused, InputError
from herogen_async.generation.observer import Observer
from herogen_async.tune.asking import QUERY_OPTIONS

if TYPE_CHECKING:
    from herogen_async.tune.query import Asking, ModelSession, Reply, Target

_SLOTS = 4  # a person asks one question at a time, with a few samples: fewer slots answer sooner
_LONGEST_TOKENS = 1024  # of an answer: the embedded server's room is settled when it starts
_VALUES_SHOWN = 12
_HELP = """\
Type a question as the model was taught; an empty line asks for its attributes one by one.
  /temperature 0.3   how free the words are: 0 is always the likeliest one
  /samples 3         so many answers to each question
  /compare           the untuned model's answers beside, or no more
  /help              this
  /quit              leave; Ctrl-D too. Ctrl-C stops an answer."""


class _Left(Exception):
    """The person wants to leave."""


def play(target: Target, how: Asking) -> None:
    """Ask what is typed until the person leaves. Raises LocalModelError or EndpointRefused where it can't begin."""
    from herogen_async.core.clock import MonotonicClock
    from herogen_async.tune.query import open_model

    # Room for the longest answer, and for what may be compared later.
    opening = replace(how, max_tokens=max(how.max_tokens, _LONGEST_TOKENS), concurrency=min(how.concurrency, _SLOTS))
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        with waiting(f"starting {target.model.name}") as wait:
            ready = open_model(target, opening, MonotonicClock(), observer=wait)
            model_session = runner.run(ready.__aenter__())
        stack.callback(lambda: runner.run(ready.__aexit__(None, None, None)))
        _Playground(model_session, replace(how, concurrency=opening.concurrency), runner).run()


class _Playground:
    def __init__(self, model_session: ModelSession, how: Asking, runner: asyncio.Runner) -> None:
        self._model_session = model_session
        self._target = model_session.target
        self._how = how
        self._runner = runner
        self._last: dict[str, str] = {}
        self._typed = _Typed()

    def run(self) -> None:
        """Until the person leaves."""
        say(f"{self._target.model.name}: ask it, e.g. {example(self._target)}. /help, /quit.")
        with contextlib.suppress(_Left, EOFError):
            while True:
                self._turn()
        say("Bye.")

    def _turn(self) -> None:
        from herogen_async.tune.query import checked

        try:
            line = self._typed.line("> ")
            if line.startswith("/"):
                self._obey(line)
                return
            question = checked(line, self._target.recipe) if line.strip() else self._by_attributes()
        except KeyboardInterrupt:
            say("")  # what was being typed is dropped
            return
        except InputError as error:
            print_error(error)
            return
        if question:
            self._ask(question)

    def _ask(self, question: str) -> None:
        from herogen_async.tune.query import each

        try:
            with waiting("waiting for the answer; Ctrl-C stops it") as wait:
                printer = _Printer(self._how, wait)
                self._runner.run(self._model_session.ask(each([question]), self._how, printer))
        except KeyboardInterrupt:
            say("Stopped.")
        except (InputError, EndpointRefused) as error:
            print_error(error)

    def _obey(self, line: str) -> None:
        word, _, value = line[1:].strip().partition(" ")
        if word in ("quit", "q", "exit"):
            raise _Left
        if word in ("temperature", "samples"):
            self._change(word, value.strip())
        elif word == "compare":
            self._compare()
        elif word in ("help", "h", "?", ""):
            say(_HELP)
        else:
            raise InputError(f"unknown command /{word}", fix="/temperature, /samples, /compare, /help or /quit")

    def _change(self, name: str, value: str) -> None:
        try:
            changes: dict[str, Any] = {name: QUERY_OPTIONS[name].kind.parsed_as(value)}
        except ValueError:
            now = getattr(self._how, name)
            raise InputError(f"/{name} needs a number, not {value!r}", fix=f"/{name} {now}") from None
        changed = replace(self._how, **changes)
        changed.check()
        self._how = changed
        say(f"{name}: {value}")

    def _compare(self) -> None:
        if self._target.base is None:
            raise InputError(
                f"the base model of {self._target.model.name!r} is not recorded", fix="ask without /compare"
            )
        self._how = replace(self._how, compare=not self._how.compare)
        say(f"comparing with {self._target.base.name}" if self._how.compare else "no comparison")

    def _by_attributes(self) -> str | None:
        """The question about a cell whose values are asked for one by one; Enter takes the value in brackets."""
        from herogen_async.specs.spec.template import Template
        from herogen_async.tune.query import question_from

        recipe = self._target.recipe
        if recipe.sub_prompt is None:
            say("This model's attributes are not recorded; type a question.")
            return None
        cell = {name: self._value(name, recipe.attributes.get(name, ())) for name in Template(recipe.sub_prompt).names}
        self._last = cell
        return question_from(cell, recipe)

    def _value(self, name: str, known: tuple[str, ...]) -> str:
        usual = self._last.get(name) or (known[0] if known else "")
        if known:
            say(f"  {name}: {', '.join(known[:_VALUES_SHOWN])}{' ...' if len(known) > _VALUES_SHOWN else ''}")
        return self._typed.line(f"  {name} [{usual}]: ").strip() or usual


class _Printer(Observer["Reply", None]):
    """Prints replies as they come."""

    def __init__(self, how: Asking, wait: Waiting) -> None:
        self._how = how
        self._wait = wait

    def call_ended(self, record: Reply, /) -> None:
        """An answer."""
        from herogen_async.tune.query import ending_note

        reply = record
        self._wait.end()
        if self._how.samples > 1:
            say(f"— {reply.sample} of {self._how.samples}")
        if self._how.compare:
            for line in compared(reply):
                out(line)
        elif reply.answer is not None:
            out(_wrapped(reply.answer.text))
        for error in (reply.error, reply.base_error):
            if error is not None:
                print_error(error)
        if reply.answer is not None and not self._how.compare:
            tokens = reply.answer.usage.get("completion_tokens")
            count = f"{tokens} tokens, " if tokens else ""
            say(f"  ({count}{reply.answer.latency_ms / 1000:.1f} s, {ending_note(reply.answer) or 'complete'})")


def _wrapped(text: str) -> str:
    """`text` with its lines broken between words on a terminal; as it is elsewhere."""
    if not sys.stdout.isatty():
        return text
    width = max(20, min(100, shutil.get_terminal_size((80, 24)).columns))
    return "\n".join(textwrap.fill(line, width) for line in text.split("\n"))


class _Typed:
    """Lines from a terminal, with history and editing where there is readline; or from a script, without prompts."""

    def __init__(self) -> None:
        self._lines: Iterator[bytes] | None = None
        self._number = 0
        if sys.stdin.isatty() and sys.stdout.isatty():
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - `input` takes it from there
        else:
            self._lines = iter(getattr(sys.stdin, "buffer", None) or (line.encode() for line in sys.stdin))

    def line(self, prompt: str) -> str:
        """The next one, without its newline. Raises EOFError at the end, InputError for what is no text."""
        from herogen_async.tune.query import dialog_line

        if self._lines is None:
            try:
                return input(prompt)
            except UnicodeDecodeError:
                raise InputError("what was typed is not UTF-8", fix="set the terminal to UTF-8") from None
        line = next(self._lines, None)
        if line is None:
            raise EOFError
        self._number += 1
        return dialog_line(line, f"line {self._number} of standard input")
