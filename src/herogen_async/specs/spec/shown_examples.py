"""`examples`: records of a file that are shown in prompts, some to each row, as `{examples}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from herogen_async.core.codec import fingerprint
from herogen_async.core.errors import InputError
from herogen_async.core.units import counted
from herogen_async.specs.spec.column_data import plain_column
from herogen_async.specs.spec.growth import checked_model
from herogen_async.specs.spec.problem import InvalidSpecError, KeyPath, Nowhere, Problem
from herogen_async.specs.spec.syntax import template_in
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, Template, alternatives

if TYPE_CHECKING:  # few specs show examples, and so read files
    from herogen_async.specs.spec.said import SaidText

MAX_SHOWN_EXAMPLES = 1000  # in one prompt: far more than any model learns from
_TEXTS = ("prompt", "system")
_FIX = "for example: `examples: {from: few.jsonl, count: 4}`"


class ShownExamples(BaseModel):
    """Each row is shown `count` records of the file `path`, whose content has this `sha256`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(
        alias="from",
        min_length=1,
        description="a file of records: JSON Lines, JSON, CSV, TSV, XLSX",
        examples=["few.jsonl"],
    )
    count: int = Field(
        ge=1, le=MAX_SHOWN_EXAMPLES, description=f"a whole number from 1 to {MAX_SHOWN_EXAMPLES:,}", examples=[4]
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="that of the file's content; left out, of the file as it is"
    )

    @classmethod
    def of(cls, data: object, folder: Path) -> ShownExamples:
        """From a spec's data, with the path relative to `folder`.

        Without a `sha256` the file is read, and has that one. Raises InvalidSpecError with all mistakes.
        """
        found = checked_model(cls, data, _FIX)
        file, sha256 = folder / found.path, found.sha256
        if sha256 is None:
            from herogen_async.specs.spec.example_records import examples_sha256, shown_records  # noqa: PLC0415 - of few specs

            try:
                sha256 = examples_sha256(file)
                size = len(shown_records(str(file.absolute()), sha256))
            except InputError as error:
                raise InvalidSpecError([Problem(("from",), error.message, error.fix or "")], Nowhere()) from None
            if size < found.count:
                message = f"{found.path!r} has {counted(size, 'record')}, and each row is to get {found.count:,}"
                raise InvalidSpecError([Problem(("count",), message, "lower it, or add records")], Nowhere())
        return found.model_copy(update={"path": str(file.absolute()), "sha256": sha256})

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return self.model_dump(by_alias=True)

    @property
    def fingerprint(self) -> str:
        """Of what is shown, wherever the file lies."""
        return fingerprint([self.count, self.sha256])

    def check(self) -> None:
        """Raises InputError where the file is another one now, or gone."""
        from herogen_async.specs.spec.example_records import shown_records  # noqa: PLC0415 - of few specs

        shown_records(self.path, self.sha256 or "")

    def chosen(self, cell: Mapping[str, str], repeat: int) -> SaidText:
        """The records of the row with these values: a text, and in Jinja templates a list of mappings.

        Raises InputError as `check` does.
        """
        from herogen_async.specs.spec.example_records import examples_of_row, shown_records, together  # noqa: PLC0415 - of few specs

        return together(examples_of_row(shown_records(self.path, self.sha256 or ""), self.count, cell, repeat))

    def longest(self, size: Callable[[str], int]) -> SaidText:
        """The longest that a row may be shown; nothing where `check` fails, since no row is asked then."""
        from herogen_async.specs.spec.example_records import shown_records, together  # noqa: PLC0415 - of few specs

        try:
            records = shown_records(self.path, self.sha256 or "")
        except InputError:
            return together(())
        return together(sorted(records, key=lambda each: size(str(each)))[-self.count :])


def shown_problems(given: dict[str, Any], folder: Path, *, knows_names: bool) -> list[Problem]:
    """The problems of `examples`, whose paths start at `folder`; without any, they become a model in `given`."""
    problems = list(examples_problems(given, folder))
    if knows_names:
        columns = given.get("columns") or {}
        parts: dict[KeyPath, Any] = {
            (): given,
            **{("columns", name): plain_column(each) for name, each in columns.items()},
        }
        texts = {(*path, key): template_in(part, key) for path, part in parts.items() for key in _TEXTS}
        problems += naming_problems({path: text for path, text in texts.items() if text is not None})
    return problems


def examples_problems(given: dict[str, Any], folder: Path) -> Iterator[Problem]:
    """The mistakes of `examples`, which becomes a model in `given` where there are none; paths start at `folder`."""
    for where in ("attributes", "columns"):
        if isinstance(given.get(where), Mapping) and SHOWN_EXAMPLES in given[where]:
            message = f"{{{SHOWN_EXAMPLES}}} stands for the records of `examples`"
            yield Problem((where, SHOWN_EXAMPLES), message, f"rename it, e.g. to 'the_{SHOWN_EXAMPLES}'")
    if isinstance(given[SHOWN_EXAMPLES], ShownExamples):
        return
    try:
        given[SHOWN_EXAMPLES] = ShownExamples.of(given[SHOWN_EXAMPLES], folder)
    except InvalidSpecError as invalid:
        given[SHOWN_EXAMPLES] = None
        yield from (problem.below(SHOWN_EXAMPLES) for problem in invalid.problems)


def naming_problems(templates: Mapping[KeyPath, Template]) -> Iterator[Problem]:
    """What templates say of `examples`, and can't; or that none names them."""
    names = [(path, template, name) for path, template in templates.items() for name in template.names]
    stems = [(path, template, name, each) for path, template, name in names for each in alternatives(name)]
    own = [found for found in stems if found[3].name == SHOWN_EXAMPLES]
    if not own:
        name = SHOWN_EXAMPLES
        fix = f"write {{{name}}} in a prompt, or {{{{ {name} }}}} in a Jinja template, or remove the key"
        yield Problem((SHOWN_EXAMPLES,), "no prompt shows them", fix)
    for path, template, name, each in own:
        if each.is_all or each.field is not None or name != SHOWN_EXAMPLES:
            message = f"placeholder '{template.shows(name)}': `{SHOWN_EXAMPLES}` has no fields and no alternatives"
            loop = f", or loop over {SHOWN_EXAMPLES}" if template.is_jinja else ""
            yield Problem(path, message, f"write {template.shows(SHOWN_EXAMPLES)}{loop}")
