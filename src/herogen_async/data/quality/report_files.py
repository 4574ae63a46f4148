"""The report as files: one page for people, the same as figures, and the charts.

The page is one file that works offline: charts embedded, no script, nothing loaded. All foreign text is escaped (P14),
and as a second line of defence, a policy in the page forbids scripts and connections.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from herogen_async.core import codec
from herogen_async.data.charts import NO_MATPLOTLIB
from herogen_async.data.charts import quality_charts as charts
from herogen_async.data.quality.records import Coverage, Finding, Group, Quantiles
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.similar import THRESHOLD

PAGE, FIGURES = "report.html", "quality.json"
_GROUPS_SHOWN = 10
_VALUES_SHOWN = 60  # per attribute, for a readable page; quality.json has all
_SHOWN_AT = 0.74  # of the width in pixels: matches the page's text size
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem}
img{max-width:100%;height:auto}table{border-collapse:collapse;margin:.5rem 0 1rem}
td,th{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid #e3e3e3;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.t{overflow-wrap:anywhere;color:#444;font-size:.9rem}
.quiet{color:#666;font-size:.9rem}.warn{border-left:4px solid #D55E00;padding:.1rem .8rem;margin:.6rem 0}
.good{border-left:4px solid #009E73;padding:.1rem .8rem;margin:.6rem 0}
.values{columns:16rem;column-gap:2rem}.values div{break-inside:avoid}
.values table{width:100%;margin:0 0 1rem}.zero{color:#D55E00;font-weight:bold}
""".strip()


def report_files(quality: Quality, title: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each file of the report: charts as PNG, `quality.json`, and `report.html` last.

    `title` names the data set on the page. Without matplotlib there are no charts, and the page says so.
    """
    try:
        pictures = dict(_pictures(quality))
    except ImportError:
        pictures = {}
    yield from pictures.items()
    yield FIGURES, codec.dumps_pretty(quality.as_dict())
    yield PAGE, _page(quality, title, pictures).encode("utf-8", "replace")


def _pictures(quality: Quality) -> Iterator[tuple[str, bytes]]:
    """The charts that have something to show. Raises ImportError without matplotlib."""
    cover, shape = quality.coverage, quality.shape
    if cover.by_cell and cover.source.facets:
        yield "coverage.png", charts.coverage(cover.source, cover.by_cell, repeats=cover.repeats)
    if any(shape.words.get(fate) for fate in charts.FATES):
        yield "lengths.png", charts.lengths(shape.words, shape.bounds)
    groups = [1 + len(group.others) for group in quality.groups]
    if len(shape.nearest) > 1 or groups:
        yield "duplication.png", charts.duplication(shape.nearest, groups, threshold=THRESHOLD)


def _page(quality: Quality, title: str, pictures: Mapping[str, bytes]) -> str:
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">{quality.rows:,} rows checked, {quality.kept:,} kept.</p>',
        *_verdict(quality),
        "<h2>Findings</h2>",
        *_findings(quality.findings),
        "<h2>Grid coverage</h2>",
        _picture(pictures, "coverage.png", "examples per grid cell"),
        *_coverage(quality.coverage),
        "<h2>Lengths</h2>",
        _picture(pictures, "lengths.png", "answers by word count"),
        *_lengths(quality),
        "<h2>Repetition</h2>",
        _picture(pictures, "duplication.png", "similarity of the answers"),
        *_groups(quality.groups),
        *_languages(quality.languages),
    ]
    if not pictures:
        parts.append(f'<p class="quiet">{escape(NO_MATPLOTLIB)}</p>')
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Quality of {escape(title)}</title><style>{_STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(filter(None, parts))
        + "\n</body></html>\n"
    )


def _verdict(quality: Quality) -> list[str]:
    if not quality.warnings:
        return ['<div class="good">No problems found.</div>']
    return [f'<div class="warn">{escape(_sentence(warning))}</div>' for warning in quality.warnings]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _picture(pictures: Mapping[str, bytes], name: str, what: str) -> str:
    if name not in pictures:
        return ""
    png = pictures[name]
    width = round(int.from_bytes(png[16:20]) * _SHOWN_AT)
    return f'<p><img alt="{escape(what)}" width="{width}" src="data:image/png;base64,{b64encode(png).decode()}"></p>'


def _findings(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return ["<p>The checks found nothing.</p>"]
    rows = [
        (escape(finding.kind), f"{finding.rows:,}", escape(_sentence(finding.meaning)), _seen(finding))
        for finding in findings
    ]
    return [_table(("kind", "rows", "meaning", "sample rows"), rows, numbers=(1,), texts=(3,))]


def _seen(finding: Finding) -> str:
    lines = []
    for sighting in finding.seen:
        note = f", {escape(sighting.note)}" if sighting.note else ""
        lines.append(f"<b>row {sighting.number}</b>{note}: {escape(sighting.excerpt) or '<i>empty</i>'}")
    return "<br>".join(lines)


def _coverage(cover: Coverage) -> list[str]:
    outside = f" {cover.outside:,} rows belong to no cell of this grid." if cover.outside else ""
    parts = [
        f"<p>{cover.cells:,} cells, {cover.empty:,} of them without examples; {cover.rows_per_cell} "
        f"examples per cell ({cover.repeats:,} requested).{outside}</p>",
        '<div class="values">',
    ]
    for name, values in cover.by_value.items():
        rows = [
            (escape(value), f"{count:,}" if count else '<span class="zero">0</span>')
            for value, count in list(values.items())[:_VALUES_SHOWN]
        ]
        more = (
            f'<p class="quiet">... and {len(values) - len(rows):,} more in {FIGURES}</p>'
            if len(rows) < len(values)
            else ""
        )
        parts.append(f"<div>{_table((escape(name), 'examples'), rows, numbers=(1,))}{more}</div>")
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
    guessed = " and ".join(f"{count:,} {what}" for what, count in guesses.items() if count)
    source = f"; {guessed} estimated at four bytes per token" if guessed else ""
    return [
        _table(names, rows, numbers=range(1, 7)),
        f"<p>Tokens per epoch: {tokens.prompt + tokens.completion:,} ({tokens.prompt:,} in prompts, "
        f"{tokens.completion:,} in completions{source}).</p>",
    ]


def _groups(groups: Sequence[Group]) -> list[str]:
    if not groups:
        return []
    rows = [
        (f"{1 + len(group.others):,}", f"{100 * group.similarity:.0f} %", str(group.stays), escape(group.excerpt))
        for group in groups[:_GROUPS_SHOWN]
    ]
    which = f"The {_GROUPS_SHOWN} largest of {len(groups):,} groups" if len(groups) > _GROUPS_SHOWN else "Groups"
    return [
        f"<p>{which} of repeated answers. The first row of each group stays.</p>",
        _table(("rows", "lowest similarity", "first row", "text"), rows, numbers=(0, 1, 2), texts=(3,)),
    ]


def _languages(languages: Mapping[str, int]) -> list[str]:
    if len(languages) < 2:
        return []
    rows = [(escape(language), f"{count:,}") for language, count in languages.items()]
    return ["<h2>Languages</h2>", _table(("language", "rows"), rows, numbers=(1,))]


def _table(
    names: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = (), texts: Sequence[int] = ()
) -> str:
    """An HTML table; the cells are already HTML."""
    kinds = dict.fromkeys(numbers, ' class="n"') | dict.fromkeys(texts, ' class="t"')

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (f"<{tag}{kinds.get(at, '')}>{cell}</{tag}>" for at, cell in enumerate(cells))
        return f"<tr>{''.join(marked)}</tr>"

    return f"<table>{line('th', names)}{''.join(line('td', row) for row in rows)}</table>"
