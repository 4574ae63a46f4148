"""The examples of a data set, looked at by the checks of `data/quality`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from herogen_async.data.dataset.examples import Item, answer_tokens, is_shortened
from herogen_async.data.dataset.recipe import Recipe, has_ended
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.quality import Example, Inspector, Quality


def inspected(
    rows: RunRows, items: Iterable[Item], how: Recipe, *, samples: int, truncated: str, drop: Collection[str]
) -> Quality:
    """The quality of `items`, which are made of `rows`; those with a kind of `drop` will be left out."""
    inspector = Inspector(
        rows.plan.cells,
        rows.plan.repeats,
        samples=samples,
        separator=how.separator,
        lead=how.lead,
        ending=how.ending,
        left_out=drop,
    )
    for item in items:
        row = item.row
        whole = not is_shortened(item)
        inspector.add(
            Example(
                number=item.number,
                cell=rows.plan.cells.identity(item.index // rows.plan.repeats),
                repeat=row["repeat"],
                prompt=item.pair.prompt,
                completion=item.pair.shown,
                # It is complete, or is now.
                finish_reason="stop" if truncated == "trim" or has_ended(row) else row["finish_reason"],
                completion_tokens=answer_tokens(item, how.reasoning) if whole else None,
                prompt_tokens=None,  # the sub-prompt, if that is what is taught, was never sent
            )
        )
    return inspector.finish()
