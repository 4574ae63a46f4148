"""The report's page: what the data set is about, whole examples, then the findings with their rows, and the figures.

The page is one file that works offline: charts embedded, no script, nothing loaded. All foreign text is escaped (P14),
and as a second line of defence, a policy in the page forbids scripts and connections.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from herogen_async.core.markup import html_text
from herogen_async.core.units import count, counted
from herogen_async.data.charts import NO_MATPLOTLIB
from herogen_async.data.quality.acceptance import Acceptance
from herogen_async.data.quality.flagged_rows import cell_line, finding_cards, row_cards, row_link
from herogen_async.data.quality.records import Coverage, Group, Quantiles
from herogen_async.data.quality.report_style import STYLE
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.subject import Subject, WholeExample, shown_groups

FIGURES = "quality.json"
_VALUES_SHOWN = 60  # per attribute, for a readable page; quality.json has all
_SHOWN_AT = 0.74  # of the width in pixels: matches the page's text size
_FOLDED_FROM, _FOLDED_LINES = 1500, 24  # characters and lines: a longer text is folded
_START = 500  # characters of a folded text that are seen
_NUMBERS = ("No", "One", "Two", "Three")
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report_page(quality: Quality, subject: Subject, pictures: Mapping[str, bytes]) -> str:
    """The page; `pictures` are the charts by name, as PNG."""
    parts = [
        *_about(quality, subject),
        *_examples(subject.examples),
        '<h2 id="findings">Findings</h2>',
        *_verdict(quality),
        *finding_cards(quality),
        *_accepted(subject.acceptance),
        '<h2 id="coverage">Grid coverage</h2>',
        _picture(pictures, "coverage.png", "examples per grid cell"),
        *_coverage(quality.coverage),
        '<h2 id="lengths">Lengths</h2>',
        _picture(pictures, "lengths.png", "answers by word count"),
        *_lengths(quality),
        '<h2 id="repetition">Repetition</h2>',
        *(f"<p>{html_text(each)}</p>" for each in quality.diversity.sentences()),
        _picture(pictures, "duplication.png", "similarity of the answers"),
        *_groups(list(shown_groups(quality)), len(quality.groups), quality.samples),
        *_languages(quality.languages),
        *row_cards(quality, subject),
    ]
    if not pictures:
        parts.append(f'<p class="quiet">{html_text(NO_MATPLOTLIB)}</p>')
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html_text(subject.title)}: data set report</title><style>{STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n'
        + "\n".join(filter(None, parts))
        + "\n</main></body></html>\n"
    )


def _about(quality: Quality, subject: Subject) -> Iterator[str]:
    yield f"<header><h1>{html_text(subject.title)}</h1>"
    checked = f"{counted(quality.rows, 'row')} checked"
    checked += "." if quality.kept == quality.rows else f", {count(quality.kept)} kept."
    yield f'<p class="lead">{html_text(f"{subject.summary} {checked}".strip())}</p>'
    places = {"examples": "Examples"} if subject.examples else {}
    places["findings"] = "Findings"
    if subject.acceptance is not None:
        places["acceptance"] = "Acceptance"
    places |= {"coverage": "Grid coverage", "lengths": "Lengths", "repetition": "Repetition"}
    if quality.flagged:
        places["rows"] = "Rows"
    links = "".join(f'<a href="#{place}">{name}</a>' for place, name in places.items())
    yield f"<nav>{links}</nav></header>"
    if subject.facts:
        facts = (f"<dt>{html_text(name)}</dt><dd>{html_text(value)}</dd>" for name, value in subject.facts.items())
        yield f'<dl class="facts">{"".join(facts)}</dl>'
    texts = {
        "System message": subject.system,
        "Prompt": subject.prompt,
        "Question in the training rows": subject.question,
    }
    for name, text in texts.items():
        if text:
            yield f'<h3>{name}</h3><div class="box">{_folded(text)}</div>'


def _examples(examples: Sequence[WholeExample]) -> Iterator[str]:
    if not examples:
        return
    number = _NUMBERS[len(examples)] if len(examples) < len(_NUMBERS) else count(len(examples))
    yield f'<h2 id="examples">{number} example{"s" if len(examples) > 1 else ""}</h2>'
    for each in examples:
        texts = {
            "Question": each.prompt,
            "Reasoning": each.reasoning,
            "Answer" if each.rejected is None else "Better answer": each.completion,
            "Worse answer": each.rejected or "",
        }
        boxes = (
            f'<p class="label">{name}</p><div class="box">{_folded(text)}</div>' for name, text in texts.items() if text
        )
        yield f'<article class="card"><h4>Row {count(each.number)}</h4>{cell_line(each.cell)}{"".join(boxes)}</article>'


def _folded(text: str) -> str:
    """The whole text; of a long one the start, which opens to all of it."""
    whole = f'<div class="text">{html_text(text)}</div>'
    lines = text.split("\n", _FOLDED_LINES)
    if len(text) <= _FOLDED_FROM and len(lines) <= _FOLDED_LINES:
        return whole
    start = "\n".join(lines[: _FOLDED_LINES // 3])[:_START].rstrip()
    return (
        f'<details><summary><div class="text start">{html_text(start)} …</div>'
        f'<span class="more open">Show all {counted(len(text), "character")}</span>'
        f'<span class="more close">Show less</span></summary>{whole}</details>'
    )


def _verdict(quality: Quality) -> list[str]:
    if not quality.warnings:
        return ['<div class="good">No problems found.</div>']
    # What the findings themselves say stands right below.
    said = [finding.meaning for finding in quality.findings]
    others = [each for each in quality.warnings if not any(meaning in each for meaning in said)]
    return [f'<div class="warn">{html_text(_sentence(each))}</div>' for each in others]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _picture(pictures: Mapping[str, bytes], name: str, what: str) -> str:
    if name not in pictures:
        return ""
    png = pictures[name]
    width = round(int.from_bytes(png[16:20]) * _SHOWN_AT)
    data = b64encode(png).decode()
    return f'<div class="chart"><img alt="{html_text(what)}" width="{width}" src="data:image/png;base64,{data}"></div>'


def _accepted(found: Acceptance | None) -> Iterator[str]:
    """How many rows of each value the spec accepts: where few are, the data set says little of it."""
    if found is None:
        return
    total, *far = found.lines()
    yield '<h2 id="acceptance">Acceptance</h2>'
    if far:
        total += f" Far from that: {'; '.join(each.strip() for each in far)}."
    yield f"<p>{html_text(total)}</p>"
    yield '<div class="values">'
    for name, values in found.by_value.items():
        shown = list(values.items())[:_VALUES_SHOWN]
        rows = [(html_text(value), f"{each.accepted:,}", f"{each.rows:,}", f"{each.part:.0%}") for value, each in shown]
        more = f'<p class="quiet">... and {len(values) - len(rows):,} more in {FIGURES}</p>'
        table = _table((html_text(name), "accepted", "rows", "share"), rows, numbers=(1, 2, 3))
        yield f"<div>{table}{more if len(rows) < len(values) else ''}</div>"
    yield "</div>"


def _coverage(cover: Coverage) -> list[str]:
    outside = f" {cover.outside:,} rows belong to no cell of this grid." if cover.outside else ""
    pairs = ""
    if cover.pairs_of and cover.pairs is not None:
        pairs = f" {cover.pairs:,} of {cover.pairs_of:,} pairs of values of two attributes have examples."
    parts = [
        f"<p>{cover.cells:,} cells, {cover.empty:,} of them without examples; {cover.rows_per_cell} "
        f"examples per cell ({cover.repeats:,} requested).{pairs}{outside}</p>",
        '<div class="values">',
    ]
    for name, values in cover.by_value.items():
        rows = [
            (html_text(value), f"{many:,}" if many else '<span class="zero">0</span>')
            for value, many in list(values.items())[:_VALUES_SHOWN]
        ]
        more = (
            f'<p class="quiet">... and {len(values) - len(rows):,} more in {FIGURES}</p>'
            if len(rows) < len(values)
            else ""
        )
        parts.append(f"<div>{_table((html_text(name), 'examples'), rows, numbers=(1,))}{more}</div>")
    return [*parts, "</div>"]


def _lengths(quality: Quality) -> list[str]:
    if not quality.lengths:
        return ["<p>No text.</p>"]

    def cells(name: str, spread: Quantiles) -> tuple[str, ...]:
        figures = (spread.least, spread.p05, spread.p50, spread.p95, spread.most)
        return (name, *(f"{figure:,}" for figure in figures), f"{spread.mean:,.0f}")

    rows = [cells(name, spread) for name, spread in quality.lengths.items()]
    names = ("completion length", "min", "5 %", "median", "95 %", "max", "mean")
    tokens = quality.tokens
    guesses = {"prompts": tokens.estimated_prompts, "completions": tokens.estimated}
    guessed = " and ".join(f"{many:,} {what}" for what, many in guesses.items() if many)
    source = f"; {guessed} estimated at four bytes per token" if guessed else ""
    return [
        _table(names, rows, numbers=range(1, 7)),
        f"<p>Tokens per epoch: {tokens.prompt + tokens.completion:,} ({tokens.prompt:,} in prompts, "
        f"{tokens.completion:,} in completions{source}).</p>",
    ]


def _groups(shown: Sequence[Group], known: int, samples: int) -> list[str]:
    if not shown:
        return ["<p>No repeated answers.</p>"]
    rows = [
        (
            row_link(group.stays, samples),
            f"{1 + len(group.others):,}",
            f"{100 * group.similarity:.0f} %",
            html_text(group.excerpt),
        )
        for group in shown
    ]
    which = f"The {len(shown)} largest of {known:,} groups" if known > len(shown) else "Groups"
    return [
        f"<p>{which} of repeated answers. The first row of each group stays.</p>",
        _table(("first row", "rows", "lowest similarity", "text"), rows, numbers=(1, 2), texts=(3,)),
    ]


def _languages(languages: Mapping[str, int]) -> list[str]:
    if len(languages) < 2:
        return []
    rows = [(html_text(language), f"{many:,}") for language, many in languages.items()]
    return ["<h2>Languages</h2>", _table(("language", "rows"), rows, numbers=(1,))]


def _table(
    names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Iterable[int] = (), texts: Iterable[int] = ()
) -> str:
    """A table that scrolls sideways where it is wider than the page; the cells are already HTML."""
    kinds = dict.fromkeys(numbers, ' class="n"') | dict.fromkeys(texts, ' class="t"')

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (f"<{tag}{kinds.get(at, '')}>{cell}</{tag}>" for at, cell in enumerate(cells))
        return f"<tr>{''.join(marked)}</tr>"

    return f'<div class="wide"><table>{line("th", names)}{"".join(line("td", row) for row in rows)}</table></div>'
