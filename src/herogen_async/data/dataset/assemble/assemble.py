"""A run's answers as a data set: rows -> pairs -> checks -> sides -> files of one format, a card and trainer configs.

The rows are read twice, once to check and once to write them, so none has to be held in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.core.likeness import nearest
from herogen_async.data.dataset.assemble import previous_folder
from herogen_async.data.dataset.assemble.assembly_report import DROPPABLE, PAIRS, Assembled, DataFile
from herogen_async.data.dataset.assemble.card import card
from herogen_async.data.dataset.assemble.inspected import inspected
from herogen_async.data.dataset.assemble.report_subject import Samples, subject_of
from herogen_async.data.dataset.assemble.run_state import RunState
from herogen_async.data.dataset.assemble.trainer_configs import Folder, stubs, tokens_around, uses
from herogen_async.data.dataset.example_question import ExampleQuestion, question_of
from herogen_async.data.dataset.examples import (
    ExampleCount,
    Item,
    answer_tokens,
    candidates,
    once_each,
    without,
)
from herogen_async.data.dataset.formats import FORMATS, Format, Writer
from herogen_async.data.dataset.formats.pairs import PairsTable
from herogen_async.data.dataset.hashed_file import HashedFile
from herogen_async.data.dataset.marked_rows import CuratedRows
from herogen_async.data.dataset.output_paths import derived_file
from herogen_async.data.dataset.paired_question import PairedQuestion
from herogen_async.data.dataset.ranking import AnyRanking, Compared, best_and_worst, marked_ranking, ranking_for
from herogen_async.data.dataset.recipe import (
    DROP_THOUGHTS,
    FIELD,
    KTO,
    NO_SYSTEM,
    PROMPT_COMPLETION,
    PROMPTS,
    RANKED,
    REASONING,
    SUB_PROMPT,
    TRUNCATED,
    WITHOUT_FIELDS,
    Recipe,
)
from herogen_async.data.dataset.rows import RunRows
from herogen_async.data.dataset.split import ALL, TRAIN, VALID, Balance, Split
from herogen_async.data.quality import Quality, report_files

CSV = "prepared_data.csv"


@dataclass(frozen=True, slots=True)
class _Order:
    """The validated request."""

    format: Format
    truncated: str
    reasoning: str
    drop: tuple[str, ...]
    split: Split | None
    ranking: AnyRanking | None
    question: ExampleQuestion

    def side(self, item: Item, repeats: int) -> str:
        return ALL if self.split is None else self.split.side(item.index // repeats)

    @property
    def sides(self) -> tuple[str, ...]:
        return (ALL,) if self.split is None else (TRAIN, VALID)

    @property
    def data_names(self) -> list[str]:
        pairs = [CSV] if self.format.name == PROMPT_COMPLETION else []
        return [*(self.format.file_name(side) for side in self.sides), *pairs]


def assemble(  # noqa: PLR0913 - each is a choice of its own
    run: str | os.PathLike[str],
    *,
    format: str = PROMPT_COMPLETION,  # noqa: A002 - the option's own name
    split: float | None = None,
    seed: int = 0,
    truncated: str = "drop",
    reasoning: str = DROP_THOUGHTS,
    drop: Sequence[str] = (),
    ranking: str | os.PathLike[str] | None = None,
    column: str | None = None,
    ask: str = SUB_PROMPT,
    system: str = NO_SYSTEM,
    marks: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> Assembled:
    """Write the data set of `run` to the folder `out`. Default: the run's dataset folder, or for any format but the
    default one, the subfolder named after the format.

    `split` is the share of cells for validation, chosen by `seed`. `truncated` is the treatment of answers whose
    finish_reason is not `stop`, in any server's word for it: `drop` leaves them out, `trim` cuts them to their last
    full sentence, `keep` keeps them. `reasoning` is that of a model's thoughts: `drop` leaves them out, `think` puts
    them in front of the answer as `<think>...</think>`, `field` in a field of their own: `reasoning_content` and
    `thinking` of the assistant's message, `reasoning` of other rows. `drop` names kinds of findings (DROPPABLE) whose
    rows are left out; empty answers always are. `ranking` is a file of scores, required by `dpo` and `kto` unless the
    spec has a judge of two columns, a `best_of` or a `keep`.

    Where the spec has several columns, each row that has them all gives one example of `column`, or each of its samples
    does: of the last column when left out, and where that was skipped by its condition, of the one before it;
    `rewrite|solution` is the first of these that the row has.

    `ask` is the question of an example: `sub_prompt`, the short one, or `prompt`, the one that was sent. `system` is
    the system text before it, in the formats that have a place for one: `none`, `keep` for the one that was sent, or a
    text. `messages` and `conversational` have an answer's tool calls, and the tools that the spec offers; other formats
    leave such answers out, and the result says so.
    With `marks`, rows with an answer that a person marked bad are left out, and edited answers are as edited; `dpo` and
    `kto` pair what was marked good, or scored higher, with what was marked bad, or scored lower.

    Each file appears complete or not at all, the recipe right after the rows; an edited trainer config is kept. Raises
    InputError (an invalid option or path, a run without rows, a side without rows), RunFolderError, DamageError,
    DiskError.
    """
    chosen = _checked(format, truncated=truncated, reasoning=reasoning, drop=drop, ranking=ranking)
    rows = CuratedRows(run, keeps_bad=format in RANKED) if marks else RunRows(run)
    if not len(rows):
        raise InputError(
            f"no answers in {str(rows.folder.path)!r} yet; nothing was written",
            fix=f"generate some: herogen-async resume {rows.folder.argument}",
        )
    marked = marked_ranking(rows, format, ranking)
    is_ranked = marked is not None or ranking is not None
    judges = [each.name for each in rows.plan.columns if each.swapped is not None]
    question = question_of(rows, column=column, file_format=format, ask=ask, system=system, is_ranked=is_ranked)
    order = _Order(
        chosen,
        truncated,
        reasoning,
        tuple(dict.fromkeys(drop)),
        None if split is None else Split(rows.plan.cells, split, seed),
        marked
        or ranking_for(
            format, ranking, rows.plan.keeping, is_compared=isinstance(question, PairedQuestion), judges=judges
        ),
        question,
    )
    own = rows.folder.dataset if format == PROMPT_COMPLETION else rows.folder.dataset / format
    folder = own if out is None else Path(out)
    previous_folder.require_place(folder, () if out is None else order.data_names)
    count = ExampleCount()
    how = replace(
        Recipe.of(format),
        attributes={name: tuple(rows.plan.cells.facets.get(name, ())) for name in rows.spec.cell_fields},
        rules=rows.spec.cell_rules.of_grid,
        sub_prompt=question.template,
        reasoning=reasoning,
        ask=question.ask,
        system=question.system_text,
        system_differs=question.has_system and question.system_text is None,
    )
    items = candidates(rows, truncated, question, count, with_rejected=order.ranking is not None)
    quality = inspected(rows, items, how, samples=question.samples, truncated=truncated, drop=order.drop)
    writing = _Writing(folder, order, how, count, repeats=rows.plan.repeats)
    compared = None if order.ranking is None else order.ranking.counts()
    samples = Samples(quality.flagged, repeats=rows.plan.repeats)
    writing.write(samples.watching(_chosen(rows, order, quality, count, compared)))
    assembled = Assembled(
        how=how,
        folder=folder,
        files=writing.files,
        truncated=truncated,
        drop=order.drop,
        state=RunState.of(rows, count),
        count=count,
        quality=quality,
        balance=writing.balance,
        compared=compared,
        question=question,
    )
    previous_folder.forget(folder, [file.path.name for file in assembled.files], format)
    return _with_companions(rows, assembled, writing, samples, seed)


def _checked(name: str, *, truncated: str, reasoning: str, drop: Sequence[str], ranking: object) -> Format:
    if name not in FORMATS:
        raise InputError(f"unknown data set format {name!r}", fix=nearest(name, tuple(FORMATS)))
    if truncated not in TRUNCATED:
        raise InputError(f"unknown choice {truncated!r} for truncated answers", fix=f"valid: {', '.join(TRUNCATED)}")
    if reasoning not in REASONING:
        raise InputError(f"unknown choice {reasoning!r} for thoughts", fix=f"valid: {', '.join(REASONING)}")
    if reasoning == FIELD and name in WITHOUT_FIELDS:
        raise InputError(
            f"format {name} has no field for thoughts", fix="use --reasoning think, or --format messages or parquet"
        )
    for kind in drop:
        if kind not in DROPPABLE:
            raise InputError(f"{kind!r} is not a kind that can be dropped", fix=nearest(kind, DROPPABLE))
    if name not in RANKED and ranking is not None:
        valid = " or ".join(RANKED)
        raise InputError(
            f"--ranking is only for --format {valid}, not for {name}", fix=f"remove --ranking, or use --format {valid}"
        )
    return FORMATS[name]


def _chosen(
    rows: RunRows, order: _Order, quality: Quality, count: ExampleCount, compared: Compared | None
) -> Iterator[Item]:
    dropped: set[int] = set()
    for number, kinds in quality.flagged.items():
        kind = next((kind for kind in order.drop if kind in kinds), None)
        if kind is not None:
            dropped.add(number)
            count.dropped[kind] += 1
    # The worse answer of a pair may be one that the spec's `keep` rejects.
    chosen = candidates(rows, order.truncated, order.question, with_rejected=order.ranking is not None)
    items = without(chosen, dropped)
    if compared is not None and order.ranking is not None:
        apart = order.format.name == KTO
        return best_and_worst(items, order.ranking, repeats=rows.plan.repeats, compared=compared, apart=apart)
    if order.format.name == PROMPTS:
        return once_each(items, repeats=rows.plan.repeats, count=count)
    return items


class _Writing:
    """The data files of one data set, written in one pass; they appear together, and only if both sides have rows."""

    def __init__(self, folder: Path, order: _Order, how: Recipe, count: ExampleCount, *, repeats: int) -> None:
        self.files: tuple[DataFile, ...] = ()
        self._facets = frozenset(() if order.split is None else order.split.facets)
        self.balance = None if order.split is None else Balance(order.split.fraction, order.split.seed)
        self.first: Item | None = None
        self.longest = 0
        self._folder = folder
        self._order = order
        self._how = how
        self._count = count
        self._repeats = repeats

    def write(self, items: Iterable[Item]) -> None:
        """Write all items."""
        order = self._order
        with ExitStack() as opened:
            sinks = {side: self._open(opened, order.format.file_name(side), side) for side in order.sides}
            pairs = None
            if order.format.name == PROMPT_COMPLETION:
                pairs = self._open(opened, CSV, PAIRS)
            for item in items:
                side = order.side(item, self._repeats)
                self._note(item, side)
                sinks[side].add(item)
                if pairs is not None:
                    pairs.add(item)
            if self.balance is not None and self._count.written:
                self.balance.require_both()
            every = [*sinks.values(), *([] if pairs is None else [pairs])]
            for sink in every:
                sink.close()
        self.files = tuple(sink.data_file() for sink in every)

    def _note(self, item: Item, side: str) -> None:
        order = self._order
        self._count.take(item)
        self.first = self.first or item
        # Bytes, not characters: a token has at least one byte, and about three.
        answers = (item.pair, *([] if item.rejected is None else [item.rejected]))
        texts = [pair.shown + (pair.reasoning if order.reasoning != DROP_THOUGHTS else "") for pair in answers]
        tools = codec.dumps(item.pair.tools).decode() if item.pair.tools else ""
        asked = "".join((item.pair.system, tools, *(text for _, text in item.pair.earlier), item.pair.prompt))
        size = max(len(text.encode()) for text in texts) + len(asked.encode())
        around = tokens_around(order.format.name, len(item.pair.earlier))
        tokens = max(size // 3, (answer_tokens(item, order.reasoning) or 0) + len(asked) // 3)
        self.longest = max(self.longest, tokens + around)
        if self.balance is not None:
            facets = {name: value for name, value in item.row["cell"].items() if name in self._facets}
            self.balance.add(item.index // self._repeats, facets, side)

    def _open(self, opened: ExitStack, name: str, role: str) -> _Sink:
        path = self._folder / name
        file = HashedFile(opened.enter_context(derived_file(path)))
        writer = PairsTable(file, self._how) if role == PAIRS else self._order.format.writer(file, self._how)
        return _Sink(path, role, file, writer)


class _Sink:
    """One data file while it is written."""

    def __init__(self, path: Path, role: str, file: HashedFile, writer: Writer) -> None:
        self._path = path
        self._role = role
        self._file = file
        self._writer = writer
        self._rows = 0

    def add(self, item: Item) -> None:
        self._writer.add(item)
        self._rows += 1

    def close(self) -> None:
        self._writer.close()
        self._file.flush()  # a full disk must raise before the first of the files appears

    def data_file(self) -> DataFile:
        file = self._file
        return DataFile(self._path, self._role, self._rows, file.sha256, file.size, self._writer.columns())


def _with_companions(rows: RunRows, assembled: Assembled, writing: _Writing, samples: Samples, seed: int) -> Assembled:
    """Write everything next to the rows: first the recipe, which marks the files as ours, and the large charts last."""
    folder, how = assembled.folder, assembled.how
    stub = Folder(
        name=rows.spec.name,
        place=folder.resolve().name,
        format=how.format,
        train=assembled.data.name,
        valid=None if assembled.valid is None else assembled.valid.name,
        max_tokens=_room(writing.longest),
        seed=seed,
        rows="-".join(file.sha256[:16] for file in assembled.files if file.role != PAIRS),
        by_card=any((assembled.columns or {}).values()),
        has_tool_calls=assembled.count.tool_calls > 0,
        has_field=how.reasoning == FIELD,
    )
    assembled = replace(assembled, changed=previous_folder.changed_stubs(folder))
    example = None if writing.first is None else previous_folder.first_row(assembled.data)
    subject = subject_of(rows, assembled, samples)
    report = {f"{previous_folder.QUALITY}/{name}": data for name, data in report_files(assembled.quality, subject)}
    pictures = [name for name in report if name.endswith(".png")]
    files = {
        previous_folder.RECIPE: codec.dumps_pretty(_recipe(rows, assembled)),
        previous_folder.CARD: card(
            assembled, rows.manifest, rows.plan, example=example, pictures=pictures, configs=uses(stub)
        ),
        **{name: data for name, data in stubs(stub) if name not in assembled.changed},
        **report,
    }
    for name, content in files.items():
        with derived_file(folder / name) as file:
            file.write(content)
    previous_folder.forget_stubs(folder, files)
    return assembled


def _recipe(rows: RunRows, assembled: Assembled) -> dict[str, Any]:
    """What `query` needs to ask the tuned model as it was taught, and the files it was taught from."""
    taught = assembled.taught
    return {
        "schema_version": 1,
        **assembled.how.as_dict(),
        "truncated": assembled.truncated,
        "drop": list(assembled.drop),
        "counts": assembled.counts(),
        "split": None if assembled.balance is None else assembled.balance.as_dict(),
        "compared": None if assembled.compared is None else assembled.compared.as_dict(),
        "spec": rows.spec.name,
        "model": rows.manifest.model if taught is None else taught.columns[0].model,
        **({} if taught is None else {"column": taught.text}),
        "generation_fingerprint": rows.manifest.generation_fingerprint,
        "files": {file.path.name: file.as_dict() for file in assembled.files},
    }


def _room(longest: int) -> int:
    """The next power of two, as is usual in trainer configs."""
    return max(256, 1 << (longest - 1).bit_length()) if longest else 256
