"""What is likely a mistake in a spec, though it can be meant: named before anything is paid, never refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from herogen_async.specs.sources.rules import CellRules, condition_as_plain
from herogen_async.specs.spec.twins import twin_lines


def doubt_lines(attributes: Mapping[str, Sequence[str]], rules: CellRules) -> Iterator[str]:
    """A sentence for each: values and names that look the same, and values that no cell has.

    `rules` are those of a spec that is sound.
    """
    yield from twin_lines(attributes)
    if not rules.branches:
        return
    from herogen_async.specs.sources.ruled_grid import unmet_branches  # noqa: PLC0415 - few specs have conditions

    for name, number in unmet_branches(attributes, rules):
        when = condition_as_plain(rules.branches[name][number].when)
        if when is None:
            yield (
                f"Attribute {name!r}: no cell has the values without `when`, because each meets an earlier condition. "
                "Remove them, or change the conditions."
            )
            continue
        earlier = ", except those that meet an earlier condition" if number else ""
        yield (
            f"Attribute {name!r}: no cell meets `when: {when}`{earlier}, so none has its values. Correct the "
            "condition, or remove the values."
        )
