"""The card of a data set: a README.md for people, with the front matter that tells `datasets` its files.

Text from a model or a person is escaped or fenced, and never in the front matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.core.units import counted
from herogen_async.data.dataset.assemble.assembly_report import PAIRS, Assembled, DataFile
from herogen_async.data.dataset.assemble.markdown_escape import block, inline
from herogen_async.data.dataset.example_question import ExampleQuestion
from herogen_async.data.dataset.formats import FORMATS
from herogen_async.data.dataset.formats.text_columns import duckdb_columns, features
from herogen_async.data.dataset.recipe import CONVERSATIONS, DPO, KTO, PARQUET, PROMPTS
from herogen_async.data.dataset.split import VALID
from herogen_async.generation.run_folder import Manifest
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Sampling, Spec

# The Hub's own classes, each with the number of rows that no longer belongs to it; any other word is ignored there.
_SIZES = {
    "n<1K": 10**3,
    "1K<n<10K": 10**4,
    "10K<n<100K": 10**5,
    "100K<n<1M": 10**6,
    "1M<n<10M": 10**7,
    "10M<n<100M": 10**8,
    "100M<n<1B": 10**9,
    "1B<n<10B": 10**10,
    "10B<n<100B": 10**11,
    "100B<n<1T": 10**12,
}
_LARGEST = "n>1T"
_WHAT = {
    DPO: "pairs of a better and a worse answer",
    KTO: "better and worse answers",
    PROMPTS: "questions, without the answers,",
}
_VALUES_SHOWN = 12
_CSV_IN_DUCKDB = (
    "header=true, delim=',', quote='\"', escape='\"', all_varchar=true, force_not_null=['prompt', 'completion']"
)
_HF_SPLIT = {VALID: "validation"}  # the name in `datasets`; every other side is `train`


def card(
    assembled: Assembled,
    manifest: Manifest,
    plan: Plan,
    *,
    example: Mapping[str, Any] | None,
    pictures: Sequence[str],
    configs: Mapping[str, str],
) -> bytes:
    """The page. `example` is a row as in the data file, None when there is none to show; `pictures` are the quality
    report's charts, by their paths in the folder; `configs` are the trainers', each with what it is for.
    """
    spec = plan.spec
    parts = [
        *_front_matter(assembled, spec),
        *_head(assembled, manifest, plan),
        *_files(assembled, configs),
        *_example(example),
        *_spec(plan, manifest, assembled),
        *_figures(assembled),
        *_findings(assembled),
        *(f"![{Path(picture).stem}]({picture})\n" for picture in pictures),
        *_loading(assembled),
        *_asking(assembled),
    ]
    return "\n".join((*parts, "")).encode()


def size_class(rows: int) -> str:
    """The Hugging Face Hub's size class of a data set of so many rows; a bound belongs to the class above it."""
    return next((name for name, end in _SIZES.items() if rows < end), _LARGEST)


def _front_matter(assembled: Assembled, spec: Spec) -> Iterator[str]:
    yield "---"
    yield f"pretty_name: {codec.dumps(spec.name).decode()}"
    yield f"size_categories: [{size_class(assembled.written)}]"
    yield "task_categories: [text-generation]"
    yield "tags: [synthetic, herogen-async]"
    yield "configs:"
    yield "- config_name: default"
    # `datasets` keeps what it has read by the folder's name and this page: other rows need another page.
    yield f"  description: rows {'-'.join(file.sha256[:16] for file in _to_load(assembled))}"
    yield "  data_files:"
    for file in _to_load(assembled):
        yield f"  - split: {_HF_SPLIT.get(file.role, 'train')}"
        yield f"    path: {file.path.name}"
    if assembled.columns:
        yield from features(assembled.columns)
    yield "---"


def _head(assembled: Assembled, manifest: Manifest, plan: Plan) -> Iterator[str]:
    spec, taught = plan.spec, assembled.taught
    what = _WHAT.get(assembled.how.format, "answers")
    models = {manifest.model: None}
    if spec.conversation is not None and assembled.question.is_conversation:
        sides = spec.conversation.columns
        what = f"conversations of {' and '.join(inline(side, 100) for side in sides)}"
        models = {column.model: None for column in plan.columns if column.stem in sides}
    elif taught is not None:
        what += f" of the column {inline(' or '.join(column.name for column in taught.columns), 200)}"
        models = {column.model: None for column in taught.columns}
    model = " or ".join(map(inline, models))
    yield ""
    yield f"# {inline(spec.name)}"
    yield ""
    yield (
        f"{assembled.written:,} {what} from the model {model}, generated with "
        f"herogen-async for fine-tuning. Format "
        f"`{assembled.how.format}`: {FORMATS[assembled.how.format].says}."
    )
    yield ""
    for warning in assembled.warnings:
        yield f"> **Warning:** {inline(warning, 400)}.\n"


def _files(assembled: Assembled, configs: Mapping[str, str]) -> Iterator[str]:
    yield "## Files"
    yield ""
    yield "| file | content | rows |"
    yield "|---|---|---:|"
    says = {
        PAIRS: "prompts and completions without separator, lead and ending, for people",
        VALID: "validation rows, from cells that are not in the training file",
    }
    for file in assembled.files:
        yield f"| `{file.path.name}` | {says.get(file.role, 'training rows')} | {file.rows:,} |"
    yield "| `recipe.json` | how the rows were made, and the SHA-256 of the files | |"
    for name, use in configs.items():
        yield f"| `{name}` | {use} | |"
    yield "| `quality/` | quality report with charts, and every finding by row | |"
    yield ""


def _example(example: Mapping[str, Any] | None) -> Iterator[str]:
    if example is not None:
        yield "First row:"
        yield ""
        yield block(codec.dumps_pretty(dict(example)).decode().rstrip())
        yield ""


def _spec(plan: Plan, manifest: Manifest, assembled: Assembled) -> Iterator[str]:
    spec, taught = plan.spec, assembled.taught
    yield "## How it was made"
    yield ""
    if taught is None:
        yield from _sent("prompt", spec.prompt, spec.system, assembled.question)
        if not assembled.question.is_short:
            yield inline(assembled.question.line, 400)
            yield ""
    else:
        yield from _columns(plan, assembled.question)
    if spec.train:
        yield "Each example's turns, as the spec's `train` has them:"
        yield ""
        yield block("\n".join(f"{role}: {text}" for role, text in spec.train))
        yield ""
    elif assembled.how.sub_prompt is not None:
        yield "The question in the training rows:"
        yield ""
        yield block(assembled.how.sub_prompt)
        yield ""
    if assembled.how.system is not None and not spec.train:
        yield "The system text in the training rows:"
        yield ""
        yield block(assembled.how.system)
        yield ""
    yield "| attribute | values |"
    yield "|---|---|"
    if spec.source is not None:
        own = inline(Path(spec.source.path).name)
        yield from (f"| {inline(name)} | a field of {own} |" for name in spec.source.fields)
    for name, values in spec.attributes.items():
        shown = ", ".join(inline(value, 40) for value in values[:_VALUES_SHOWN])
        more = f" and {len(values) - _VALUES_SHOWN:,} more" if len(values) > _VALUES_SHOWN else ""
        yield f"| {inline(name)} | {shown}{more} |"
    yield ""
    asked, how = "Answers", f"{_how(manifest.model, manifest.endpoint, spec.sampling)} "
    if taught is not None:
        asked, how = "Rows", ""
    yield (
        f"{asked} requested per cell: {spec.repeats:,}. {how}"
        f"Generation fingerprint: `{manifest.generation_fingerprint}`."
    )
    yield ""


def _sent(what: str, prompt: str, system: str | None, question: ExampleQuestion) -> Iterator[str]:
    yield f"The {what} sent to the model:"
    yield ""
    yield block(prompt)
    yield ""
    if system:
        not_taught = " (not in the rows: the tuned model should answer this way without it)"
        yield f"The system message{'' if question.has_system else not_taught}:"
        yield ""
        yield block(system)
        yield ""


def _columns(plan: Plan, question: ExampleQuestion) -> Iterator[str]:
    """Each column with what was sent for it: the answers of some are in the prompts of others."""
    yield f"Each row has {counted(len(plan.columns), 'column')}, asked in this order. {inline(question.line, 400)}"
    yield ""
    for column in plan.columns:
        samples = f" Samples: {column.samples}." if column.samples > 1 else ""
        yield f"### Column `{column.name}`"
        yield ""
        yield f"{_how(column.model, column.endpoint, column.sampling)}{samples}"
        yield ""
        what, prompt = "prompt", column.prompt.text
        if column.turns:
            what, prompt = "messages", "\n".join(f"{role}: {{{name}}}" for role, name in column.turns)
        yield from _sent(what, prompt, None if column.system is None else column.system.text, question)
        own = plan.spec.columns.get(column.stem)
        if own is not None and own.when is not None:
            yield "Only in rows that meet this condition:"
            yield ""
            yield block(own.when)
            yield ""


def _how(model: str, endpoint: str, sampling: Sampling) -> str:
    sent = ", ".join(f"{inline(name)} {inline(value)}" for name, value in sampling.as_sent().items())
    return f"Model: {inline(model)}, endpoint {inline(endpoint)}. Sampling: {sent or 'server defaults'}."


def _figures(assembled: Assembled) -> Iterator[str]:
    coverage, tokens = assembled.quality.coverage, assembled.quality.tokens
    yield "## Figures"
    yield ""
    yield f"- Answers: {assembled.answers:,}; rows in this data set: {assembled.written:,}."
    for line in assembled.left_out():
        yield f"- {inline(line, 400)}"
    if assembled.acceptance is not None:
        yield from (f"- {inline(line.strip(), 400)}" for line in assembled.acceptance.lines())
    for part in (assembled.compared, assembled.balance):
        if part is not None:
            yield f"- {inline(part.line(), 1000)}"
    yield (
        f"- Grid cells: {coverage.cells:,}, {coverage.empty:,} of them without a row; rows per cell: "
        f"{coverage.rows_per_cell}."
    )
    estimated = f" (estimated for {tokens.estimated:,} rows)" if tokens.estimated else ""
    yield f"- Answer tokens: {tokens.completion:,}{estimated}."
    yield ""
    if assembled.quality.lengths:
        yield "| answer length | min | 5 % | median | 95 % | max | mean |"
        yield "|---|---:|---:|---:|---:|---:|---:|"
        for name, each in assembled.quality.lengths.items():
            cells = (each.least, each.p05, each.p50, each.p95, each.most)
            yield f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | {each.mean:,.1f} |"
        yield ""


def _findings(assembled: Assembled) -> Iterator[str]:
    yield "## Quality checks"
    yield ""
    for finding in assembled.quality.findings:
        left_out = assembled.count.dropped[finding.kind]
        done = f"; {left_out:,} dropped" if left_out else "; kept"
        yield f"- {finding.kind}: {finding.rows:,} ({finding.meaning}){done}"
    if not assembled.quality.findings:
        yield "The checks found nothing."
    if assembled.quality.undone:
        yield ""
        yield f"{assembled.quality.undone_sentence}."
    yield ""


def _loading(assembled: Assembled) -> Iterator[str]:
    first, columns = assembled.data.name, assembled.columns
    as_frame, as_table = f'pd.read_json("{first}", lines=True, dtype=False)', f"read_json('{first}')"
    if assembled.how.format == PARQUET:
        as_frame, as_table = f'pd.read_parquet("{first}")', f"'{first}'"
    elif columns:
        as_table = f"read_json('{first}', format='newline_delimited', columns={duckdb_columns(columns)})"
    yield "## How to load it"
    yield ""
    yield "So every value is the text that was written, whatever it looks like (dates, leading zeros, `NA`):"
    yield ""
    yield "```python"
    yield "import datasets"
    yield ""
    yield 'datasets.load_dataset("path/to/this/folder")'
    yield ""
    yield "import pandas as pd"
    yield ""
    yield as_frame
    pairs = next((file.path.name for file in assembled.files if file.role == PAIRS), None)
    if pairs is not None:
        yield f'pd.read_csv("{pairs}", dtype=str, keep_default_na=False)'
    yield ""
    yield "import duckdb"
    yield ""
    yield f'duckdb.sql("""from {as_table}""")'
    if pairs is not None:
        yield f'duckdb.sql("""from read_csv(\'{pairs}\', {_CSV_IN_DUCKDB})""")'
    yield "```"
    yield ""
    if any((columns or {}).values()):
        why = "would take some of these texts for moments, or change tool calls"
        yield f"`datasets` 4.7 or later is needed: earlier ones {why}."
        yield ""
    if pairs is not None:
        yield f"In `{pairs}` a `'` stands before what a spreadsheet would run; `prepare` takes it off."
        yield ""


def _asking(assembled: Assembled) -> Iterator[str]:
    how = assembled.how
    yield "## How to query a model tuned on it"
    yield ""
    if how.format in CONVERSATIONS and assembled.question.is_conversation:
        yield "Send the turns so far as messages, the user's last; the model's own chat template does the rest."
    elif how.format in CONVERSATIONS:
        yield "Send only the question as the user message; the model's own chat template does the rest."
    else:
        yield "Append the separator to the question and stop at the ending; the answer is the text in between:"
        yield ""
        yield "| separator | lead | ending (`stop`) |"
        yield "|---|---|---|"
        yield (
            "| "
            + " | ".join(f"`{codec.dumps(mark).decode()}`" for mark in (how.separator, how.lead, how.ending))
            + " |"
        )
    yield ""
    if how.sub_prompt is not None:
        yield "The question template:"
        yield ""
        yield block(how.sub_prompt)
        yield ""
    yield '`herogen-async query RUN "…"` does all of this.'


def _to_load(assembled: Assembled) -> list[DataFile]:
    return [file for file in assembled.files if file.role != PAIRS and file.rows]
