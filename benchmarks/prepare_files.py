"""Random files for `prepare`, by a seed: every format, and what each validator looks for, mixed."""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WORDS = (
    "brave",
    "quiet",
    "tall",
    "stern",
    "gentle",
    "clever",
    "swift",
    "calm",
    "ancient",
    "hopeful",
    "luminous",
    "weary",
    "proud",
    "solemn",
    "nimble",
    "bright",
)
POWERS = ("invisibility", "read in the thoughts", "telepathy", "teleport", "flight", "immortality", "Healing")
MARKS = (" ->", "\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n", "\n\n### =>\n\n")
ENDINGS = (
    "\n",
    ".",
    " END",
    "***",
    "+++",
    "&&&",
    "$$$",
    "@@@",
    "%%%",
    " [END]",
    "!",
    "\n\n",
    " STOP",
    ". END",
    "\nok.",
)
PROMPT_TAILS = ("?", ":", "\n\nAnswer in detail:\n", "\n\nSummary:", " =>", ".", "t", ", flight", " Answer", "\n")
HEADS = (
    "Q: ",
    "Hero: ",
    "Describe: ",
    "Describe the hero: ",
    "exactly12ch: ",
    "12345678901",
    "Hero",
    "Heroes",
    " Hero: ",
)
FORMATS = ("csv", "csv", "csv", "tsv", "xlsx", "jsonl", "jsonl", "json", "txt")


@dataclass(frozen=True, slots=True)
class Case:
    """A file's name and bytes, and the answers to the questions; None: none are asked."""

    name: str
    content: bytes
    answers: tuple[str, ...] | None


def case(seed: int) -> Case:
    """The file of this seed."""
    draw = random.Random(seed)
    ending = draw.choice(FORMATS)
    rows = _rows(draw)
    if draw.random() < 0.02:
        rows = [(("" if draw.random() < 0.5 else prompt), "") for prompt, _ in rows]
    content = _WRITERS[ending](draw, rows)
    name = draw.choice(("data", "my data", "data.v2", "x_prepared", "Daten")) + "." + ending
    if draw.random() < 0.05:
        name = name[: -len(ending)] + ending.upper()
    if draw.random() < 0.01:
        name = draw.choice(("data.dat", "data", "data.csv.gz"))
    answers = None
    if draw.random() < 0.3:
        share = draw.choice((0.1, 0.5, 0.9))
        most = 20 if draw.random() < 0.9 else draw.randrange(3)
        answers = tuple(
            "nN"[draw.random() < 0.2] if draw.random() < share else draw.choice(("", "y", "Y")) for _ in range(most)
        )
    return Case(name, content, answers)


def _rows(draw: random.Random) -> list[tuple[str, str]]:
    size = draw.choice((0, 1, 2, 2, 3, 4, 5, 8, 12, 30, 30, 99, 100, 120))
    if draw.random() < 0.01:
        size = draw.randrange(900, 1400)
    prompts = _column(draw, size, _prompt_text(draw), (*MARKS, *PROMPT_TAILS), empty=draw.choice((0, 0, 0, 0.1, 1)))
    completions = _column(draw, size, _completion_text(draw), ENDINGS, empty=draw.choice((0, 0, 0, 0.1)))
    rows = list(zip(prompts, completions, strict=True))
    if rows and draw.random() < 0.25:
        rows += [draw.choice(rows) for _ in range(draw.randrange(1, 6))]
        draw.shuffle(rows)
    if rows and draw.random() < 0.05:
        for _ in range(draw.randrange(1, 3)):
            rows.insert(draw.randrange(len(rows) + 1), (rows[0][0], "x." * draw.choice((4990, 5001, 6000))))
    return rows


def _prompt_text(draw: random.Random) -> Callable[[int], str]:
    return draw.choice(
        (
            lambda n: f"{18 + n % 7}, {('man', 'woman')[n % 2]}, {POWERS[n // 2 % 7]}",
            lambda n: f"{18 + n}, {('man', 'woman')[n % 2]}, flight",
            lambda n: f"review {n} {draw.choice(WORDS)}",
            lambda n: f"q{n}",
            lambda _: f"{draw.choice(WORDS)} {draw.choice(WORDS)}",
            lambda n: f"{draw.choice(WORDS)}\n{draw.choice(WORDS)} {n}",
            lambda n: draw.choice(WORDS).upper() + f" {n}",
            lambda n: f"0x{n:X}F {draw.choice(('TRUE', 'ok'))}",
            lambda n: f"{n:03d}",
            lambda n: f"héros {n} ñandú {draw.choice('äöü漢字')}",
            lambda n: f'say "{draw.choice(WORDS)}", {n}',
            lambda _: "the same prompt",
            lambda n: f"  {draw.choice(WORDS)} {n}  ",
            lambda n: f"a/{n}\\b\t{draw.choice(WORDS)}",
        )
    )


def _completion_text(draw: random.Random) -> Callable[[int], str]:
    return draw.choice(
        (
            lambda n: f"\n\n{draw.choice(WORDS).title()} hero {n} is tall.\n\nCase {n} made it {draw.choice(WORDS)}",
            lambda n: f"\n\n{draw.choice(WORDS).title()} hero {n}.\n\nCase {n}.",
            lambda n: f"A {draw.choice(WORDS)} hero, {draw.choice(WORDS)} and {n}",
            lambda n: f" {draw.choice(WORDS)} {n}",
            lambda _: draw.choice(("good", "bad")),
            lambda _: draw.choice(("cat", "dog", "bird")),
            lambda n: f"tag {n % 9}",
            lambda n: f"tag {n // 3}",
            lambda _: "same text",
            lambda _: draw.choice(WORDS).upper(),
            lambda n: (
                f"{draw.choice(('NA', 'null', 'nan', 'None', 'N/A', 'x y'))}" if draw.random() < 0.2 else f"w {n}"
            ),
            lambda n: f"{n * 1.5}",
            lambda n: draw.choice((" ", "\n", "a", f"{n}")),
            lambda n: f"Heroes{' fly' * (n % 3)}",
            lambda n: f"all of it {draw.choice(ENDINGS)} inside {n}",
            lambda n: f"{''.join(ENDINGS[:10])} {n}",
            lambda n: f"été {n} ÉCOLE {draw.choice('äöü漢字')}",
        )
    )


def _column(
    draw: random.Random, size: int, text: Callable[[int], str], tails: Sequence[str], *, empty: float
) -> list[str]:
    head = draw.choice(HEADS) if draw.random() < 0.25 else ""
    tail = draw.choice(tails) if draw.random() < 0.45 else ""
    if draw.random() < 0.05:
        tail = draw.choice(tails) + tail
    inside = draw.choice(tails) if draw.random() < 0.1 else ""
    cells = [head + text(number) + tail for number in range(size)]
    if inside:
        cells = [cell if draw.random() < 0.8 else cell[:2] + inside + cell[2:] for cell in cells]
    if draw.random() < 0.05:
        cells = [cell.upper() for cell in cells]
    return ["" if draw.random() < empty else cell for cell in cells]


def _header(draw: random.Random) -> list[str]:
    header = ["prompt", "completion"]
    if draw.random() < 0.1:
        header = [draw.choice((name, name.title(), name.upper())) for name in header]
    if draw.random() < 0.03:
        header[draw.randrange(2)] = draw.choice(("text", "prompt ", "answer"))
    return header


def _extra(draw: random.Random) -> list[str]:
    if draw.random() > 0.2:
        return []
    names = ("age", "gender", "", "prompt", "Prompt", "completion", "prompt.1", "x y", "finish_reason")
    return [draw.choice(names) for _ in range(draw.randrange(1, 4))]


def _grid(draw: random.Random, rows: Sequence[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    """A header and rows, the columns perhaps in another order, with others among them."""
    header, extra = _header(draw), _extra(draw)
    names = header + extra
    order = list(range(len(names)))
    if draw.random() < 0.3:
        draw.shuffle(order)
    lines = []
    for row in rows:
        cells = [*row, *(draw.choice((*WORDS, "1", "")) for _ in extra)]
        lines.append([cells[place] for place in order])
    return [names[place] for place in order], lines


def _delimited(draw: random.Random, rows: Sequence[tuple[str, str]], delimiter: str) -> bytes:
    header, lines = _grid(draw, rows)
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if draw.random() < 0.1 else csv.QUOTE_MINIMAL
    end = draw.choice(("\n", "\n", "\r\n"))
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    messy = draw.random() < 0.15
    writer.writerow(header)
    for line in lines:
        if messy and draw.random() < 0.1:
            text.write(draw.choice((end, "   " + end)))
        if messy and draw.random() < 0.1:
            line = line[:-1]  # noqa: PLW2901
        if messy and draw.random() < 0.02:
            line = [*line, draw.choice(("", "more"))]  # noqa: PLW2901
        writer.writerow(line)
    content = text.getvalue()
    if draw.random() < 0.1:
        content = content.removesuffix(end)
    if draw.random() < 0.02:
        content += '"open'
    if draw.random() < 0.02:
        content += f'ab"c"d{delimiter}"ab"cd' + end
    return _encoded(draw, content)


def _encoded(draw: random.Random, content: str) -> bytes:
    chance = draw.random()
    if chance < 0.1:
        return b"\xef\xbb\xbf" + content.encode()
    if chance < 0.12:
        return content.encode("latin-1", "replace") + b"\xe9"
    return content.encode("utf-16") if chance < 0.13 else content.encode()


def _csv(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    return _delimited(draw, rows, ",")


def _tsv(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    return _delimited(draw, rows, "\t")


def _txt(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    end = draw.choice(("\n", "\n", "\r\n"))
    content = end.join(completion.replace("\n", end) for _, completion in rows)
    return _encoded(draw, content + (end if draw.random() < 0.7 else ""))


def _objects(draw: random.Random, rows: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    header, lines = _grid(draw, rows)
    header = [name or "none" for name in header]
    objects: list[dict[str, object]] = [dict(zip(header, line, strict=True)) for line in lines]
    if draw.random() < 0.05:
        for each in objects:
            if draw.random() < 0.2:
                each[draw.choice(header)] = draw.choice((None, 7, True))
    if draw.random() < 0.03:
        for each in objects:
            if draw.random() < 0.2:
                each.pop(draw.choice(list(each)), None)
    return objects


def _jsonl(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    objects = _objects(draw, rows)
    ascii_only = draw.random() < 0.5
    lines = [json.dumps(each, ensure_ascii=ascii_only) for each in objects]
    chance = draw.random()
    if chance < 0.05:
        return json.dumps(objects).encode()
    if chance < 0.1:
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(("", "  ", "{bad", "[1]")))
    content = "\n".join(lines) + ("\n" if draw.random() < 0.7 else "")
    return content.encode() if draw.random() < 0.95 else content.encode().replace(b"\n", b"\r\n")


def _json(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    objects = _objects(draw, rows)
    chance = draw.random()
    if chance < 0.4:
        return json.dumps(objects).encode()
    if chance < 0.7:
        return json.dumps(objects, indent=2, ensure_ascii=False).encode()
    if chance < 0.9:
        return "\n".join(map(json.dumps, objects)).encode()
    if chance < 0.97 and objects:
        return json.dumps({name: [each.get(name, "") for each in objects] for name in objects[0]}).encode()
    return b"[{]"


def _xlsx(draw: random.Random, rows: Sequence[tuple[str, str]]) -> bytes:
    header, lines = _grid(draw, rows)
    cells: list[list[object]] = [list(header), *map(list, lines)]
    if draw.random() < 0.1:
        cells = [[_as_number(cell) for cell in line] for line in cells]
    sheets = [cells] if draw.random() < 0.8 else [cells, [["other", "sheet"], ["1", "2"]]]
    return b"PK no zip" if draw.random() < 0.01 else workbook(*sheets)


def _as_number(cell: object) -> object:
    try:
        return float(str(cell))
    except ValueError:
        return cell


def workbook(*sheets: Sequence[Sequence[object]]) -> bytes:
    """An XLSX file: text, numbers, booleans; None is an empty cell, a `Raw` is put in as it stands."""
    content = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    listed = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{types}.worksheet+xml"/>' for n in numbers
    )
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{kind}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{types}.styles+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{kind}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{kind}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{relations}'
        f'<Relationship Id="s" Type="{kind}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><fonts count="1"><font/></fonts><fills count="1"><fill>'
        '<patternFill patternType="none"/></fill></fills>'
        '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
    }
    for number, sheet in zip(numbers, sheets, strict=True):
        rows = "".join(
            f'<row r="{n}">{"".join(_cell(n, *each) for each in enumerate(row))}</row>'
            for n, row in enumerate(sheet, 1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return content.getvalue()


class Raw(str):
    """The inside of a cell's element, with its attributes before the first `>`."""

    __slots__ = ()


def _cell(row: int, column: int, value: object) -> str:
    place = f'r="{chr(ord("A") + column)}{row}"'
    if value is None or value == "":
        return ""
    if isinstance(value, Raw):
        return f"<c {place} {value}</c>"
    if isinstance(value, bool):
        return f'<c {place} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c {place}><v>{value!r}</v></c>"
    return f'<c {place} t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'


_WRITERS: dict[str, Callable[[random.Random, Sequence[tuple[str, str]]], bytes]] = {
    "csv": _csv,
    "tsv": _tsv,
    "xlsx": _xlsx,
    "jsonl": _jsonl,
    "json": _json,
    "txt": _txt,
}
