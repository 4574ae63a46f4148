"""The findings of a report, and the rows that they point to: each with its place, its text and the command for it.

A link leads from a finding to a row in the same page, and from the row back to its findings. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from herogen_async.core.markup import html_text
from herogen_async.core.units import count, counted
from herogen_async.data.quality.records import DUPLICATE, KINDS, NEAR_DUPLICATE, Finding, row_name
from herogen_async.data.quality.result import Quality
from herogen_async.data.quality.subject import RowExcerpt, Subject, pointed_at, shown_groups, shown_rows


def finding_cards(quality: Quality) -> Iterator[str]:
    """One card per kind: how many rows, what it means, and links to them."""
    if not quality.findings:
        yield "<p>The checks found nothing.</p>"
    rows_of = shown_rows(quality)
    for finding in quality.findings:
        links = [row_link(number, quality.samples) for number in rows_of[finding.kind]]
        more = finding.rows - len(links)
        if more:
            links.append(f'<span class="quiet">and {count(more)} more in quality.json</span>')
        yield (
            f'<section class="card" id="{finding.kind}"><h4>{_kind(finding.kind)}'
            f"<span>{_share(finding, quality.rows)}</span></h4>"
            f'<p>{html_text(finding.meaning[:1].upper() + finding.meaning[1:])}.</p><p class="rows">'
            f"{' '.join(links)}</p></section>"
        )


def row_cards(quality: Quality, subject: Subject) -> Iterator[str]:
    """One card per row that is pointed to, in the order of the grid."""
    numbers = pointed_at(quality)
    if not numbers:
        return
    yield '<h2 id="rows">Rows with findings</h2>'
    flagged = counted(len(quality.flagged), "row")
    which = f"The first of {flagged}" if len(quality.flagged) > len(numbers) else flagged
    yield f'<p class="quiet">{which} with findings, in grid order. All are listed in quality.json, by number.</p>'
    known = {**_seen(quality), **subject.rows}
    notes = _notes(quality)
    for number in numbers:
        row = known.get(number, RowExcerpt(number, {}, ""))
        kinds = sorted(quality.flagged.get(number, ()), key=list(KINDS).index)
        command = f'<code class="command">{html_text(f"{subject.show} --index {number // quality.samples}")}</code>'
        yield (
            f'<article class="card" id="row-{number}">'
            f"<h4>{row_link(number, quality.samples)}{''.join(map(_kind, kinds))}</h4>"
            f"{cell_line(row.cell)}{notes.get(number, '')}"
            f'<div class="text">{html_text(row.excerpt) or "<i>empty</i>"}</div>'
            f"{command if subject.show else ''}</article>"
        )


def row_link(number: int, samples: int) -> str:
    """A link to the row's card in the page."""
    return f'<a href="#row-{number}">{row_name(number, samples)}</a>'


def cell_line(cell: Mapping[str, str]) -> str:
    """The attributes of a row, in a line of their own."""
    words = " · ".join(f"{name}: {value}" for name, value in cell.items())
    return f'<p class="cell">{html_text(words)}</p>' if words else ""


def _kind(kind: str) -> str:
    return f'<a class="kind" href="#{kind}">{kind}</a>'


def _share(finding: Finding, rows: int) -> str:
    percent = 100 * finding.rows / max(rows, 1)
    told = f"{percent:.0f}" if percent >= 1 else f"{percent:.1g}"
    return f"{count(finding.rows)} of {counted(rows, 'row')} ({told} %)"


def _seen(quality: Quality) -> dict[int, RowExcerpt]:
    """What the inspection itself has kept of rows: a few of each kind."""
    return {
        sighting.number: RowExcerpt(sighting.number, {}, sighting.excerpt)
        for finding in quality.findings
        for sighting in finding.seen
    }


def _notes(quality: Quality) -> dict[int, str]:
    """Of a row that repeats another, which one; of one that is repeated, by how many; else what the check noted."""
    notes: dict[int, list[str]] = {}
    shown = set(pointed_at(quality))
    for finding in quality.findings:
        if finding.kind not in (DUPLICATE, NEAR_DUPLICATE):
            for sighting in finding.seen:
                if sighting.note:
                    notes.setdefault(sighting.number, []).append(html_text(sighting.note))
    for group in quality.groups:
        for number in shown.intersection(group.others):
            name = row_name(group.stays, quality.samples)
            stays = row_link(group.stays, quality.samples) if group.stays in shown else name
            notes.setdefault(number, []).append(f"repeats {stays}")
    for group in shown_groups(quality):
        others = counted(len(group.others), "row")
        notes.setdefault(group.stays, []).append(
            f"repeated by {others}, {100 * group.similarity:.0f} % similar or more"
        )
    return {number: f'<p class="cell">{"; ".join(said)}</p>' for number, said in notes.items()}
