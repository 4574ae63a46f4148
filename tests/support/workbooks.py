"""Workbooks as files: also ones that no spreadsheet program would write."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_SCHEMAS = "http://schemas.openxmlformats.org/"
_MAIN = f"{_SCHEMAS}spreadsheetml/2006/main"
_KIND = f"{_SCHEMAS}officeDocument/2006/relationships"

HEADER = ("prompt", "completion")


def cell(place: str, text: str) -> str:
    """A cell with a text, as XML."""
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def row(number: int, *texts: str, of: str = "") -> str:
    """A row of texts from column A on, as XML; "" is no cell. `of` are more attributes."""
    cells = "".join(cell(f"{chr(65 + place)}{number}", text) for place, text in enumerate(texts) if text)
    return f'<row r="{number}" {of}>{cells}</row>'


def rows(*lines: Sequence[str], first: int = 1) -> str:
    """Rows below each other, as XML."""
    return "".join(row(number, *line) for number, line in enumerate(lines, first))


def sheet(content: str, *, merged: Sequence[str] = ()) -> str:
    """A sheet of these rows, as XML."""
    merges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
    behind = f"<mergeCells>{merges}</mergeCells>" if merged else ""
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{content}</sheetData>{behind}</worksheet>'


def workbook(
    path: Path,
    sheets: Mapping[str, str | Iterable[str]],
    *,
    hidden: Sequence[str] = (),
    shared: str = "",
    styles: str = "",
    calculation: str = "",
) -> Path:
    """Write an XLSX file with these sheets: their XML, whole or in pieces."""
    listed, relations = "", ""
    for number, name in enumerate(sheets, 1):
        state = "hidden" if name in hidden else "visible"
        listed += f'<sheet name="{name}" sheetId="{number}" state="{state}" r:id="r{number}"/>'
        relations += f'<Relationship Id="r{number}" Type="{_KIND}/worksheet" Target="/xl/s{number}.xml"/>'
    for name, content in (("sharedStrings", shared), ("styles", styles)):
        if content:
            relations += f'<Relationship Id="{name}" Type="{_KIND}/{name}" Target="{name}.xml"/>'
    package = f'xmlns="{_SCHEMAS}package/2006/relationships"'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        parts = {
            "_rels/.rels": f'<Relationships {package}><Relationship Id="r" Type="{_KIND}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_KIND}"><sheets>{listed}</sheets>'
            f"{calculation}</workbook>",
            "xl/_rels/workbook.xml.rels": f"<Relationships {package}>{relations}</Relationships>",
            "xl/sharedStrings.xml": shared,
            "xl/styles.xml": styles,
        }
        for name, content in parts.items():
            if content:
                file.writestr(name, content)
        for number, pieces in enumerate(sheets.values(), 1):
            with file.open(f"xl/s{number}.xml", "w", force_zip64=True) as part:
                for piece in [pieces] if isinstance(pieces, str) else pieces:
                    part.write(piece.encode())
    return path
