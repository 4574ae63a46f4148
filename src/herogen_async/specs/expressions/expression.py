"""`Expression`: a condition that was read once and is asked of each row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from herogen_async.core import codec
from herogen_async.core.likeness import near_name
from herogen_async.specs.expressions.meaning import Holds, compiled
from herogen_async.specs.expressions.parser import Parser
from herogen_async.specs.expressions.tokens import check_length
from herogen_async.specs.expressions.tree import leaves, written


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition over named values, such as `verdict.score < 3`. Equal if the canonical texts are.

    `text` is canonical: the same for every way to write blanks, quotes, lists and parentheses that aren't needed.
    `names` are those that it needs, dotted as written, each once, in order of first appearance.
    """

    text: str
    names: tuple[str, ...] = field(compare=False)
    _holds: Holds = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """The expression that `text` writes: at most 10,000 characters, 32 levels deep.

        Raises InvalidExpression with what is wrong, its place and the fix; never anything else, whatever the text.
        """
        parser = Parser(text)
        condition = parser.condition()
        canonical = written(condition)
        check_length(canonical)  # it reads back, wherever it is kept
        return cls(canonical, tuple(parser.names), compiled(condition))

    @property
    def stems(self) -> tuple[str, ...]:
        """The `names` without what is behind their dots, each once: the attributes and columns that it needs."""
        return stems_of(self.names)

    def comparisons(self) -> tuple[Expression, ...]:
        """What `and`, `or` and `not` join: whether it holds depends on whether these do, and on nothing else."""
        return tuple(Expression.parse(written(each)) for each in leaves(Parser(self.text).condition()))

    @property
    def fingerprint(self) -> str:
        """128 bits over the canonical text, as 32 hexadecimal digits, like all fingerprints."""
        return codec.fingerprint(self.text)

    def holds(self, values: Mapping[str, object]) -> bool:
        """Whether the condition is met by a row's values: texts, numbers, booleans, None or lists of these.

        A name that `values` lacks has no value, as None. Raises ExpressionFailed where a value can't be compared.
        """
        return self._holds(values)

    def unknown(self, known: Collection[str]) -> list[tuple[str, str | None]]:
        """The names that are not in `known`, each with the known one that was probably meant."""
        return [(name, near_name(name, list(known))) for name in self.names if name not in known]


def stems_of(names: Iterable[str]) -> tuple[str, ...]:
    """Dotted names without what is behind their dots, each once."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in names))
