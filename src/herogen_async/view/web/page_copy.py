"""A run as static files that open without a server: `index.html` in a folder that can be sent to somebody.

A page that is opened as a file can read no other file, and load no modules: so the page is one classic script
(`classic_script`), and rows lie in scripts of a hundred that hand over JSON as a text. Model text is as hostile there:

- it is JSON within a text of JavaScript, without `<` and without the two line ends that are ones only to JavaScript;
- the policy of the server holds, in a `<meta>`, and permits less: nothing can be asked of anybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from herogen_async.core import codec
from herogen_async.core.errors import DiskError, InputError
from herogen_async.core.units import count, counted
from herogen_async.data.row_pages import ACCEPTED, MARKED, RowFilter
from herogen_async.generation.journal import reason_word
from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.classic_script import classic_script
from herogen_async.view.web.open_run import OpenRun
from herogen_async.view.web.static_files import static_files

MOST_ROWS = 50_000
MOST_ROW_BYTES = 256 << 20  # of rows, in all files
_ROWS_A_FILE = 100  # as copy.js has it
_SCRIPT = "page.js"
_DATA = "data.js"  # all but the rows
_SERVER_ONLY = (".js", ".html")  # of the page's files: what a copy has in another shape
_FORBIDDEN = ((b"<", b"\\u003c"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
# The views that a copy can show, each with what it asks of the run.
_VIEWS: dict[str, dict[str, Callable[[OpenRun], Any]]] = {
    "live": {"pace": OpenRun.pace},
    "rows": {"about": OpenRun.about},
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types herogen-copy"
)


@dataclass(frozen=True, slots=True)
class PageCopy:
    """What was written to the folder `path`: `rows` of `total` rows, and so many `bytes` in so many `files`.

    `told` says which rows these are.
    """

    path: Path
    rows: int
    total: int
    files: int
    bytes: int
    told: str


def write_copy(run: RunFolder, target: Path) -> PageCopy:
    """Write the run in `run`, as it stands, to the folder `target`, which must not exist or be empty.

    It is made beside it and renamed when it is whole. Raises InputError, RunFolderError, DamageError, DiskError.
    """
    target = target.absolute()
    made = target.with_name(f".{target.name}.unfinished")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise InputError(
                f"{str(target)!r} already exists", fix="choose a new folder with --bundle; nothing is overwritten"
            )
        shutil.rmtree(made, ignore_errors=True)  # of a write that was killed
        made.mkdir(parents=True)
        writing = _Writing(OpenRun(run, run.path.resolve().name), made)
        writing.write()
        made.rename(target)
    except OSError as error:
        why = f"{str(target)!r} can't be written: {error.strerror}"
        raise DiskError(why, fix="free some space, or choose another folder with --bundle") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return PageCopy(target, writing.rows, writing.total, writing.files, writing.bytes, writing.told)


class _Writing:
    def __init__(self, run: OpenRun, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self.rows = self.total = self.files = self.bytes = 0
        self.told = ""
        self._last = 0  # of the rows that are there because they come first

    def write(self) -> None:
        run = self._run
        moment = run.report()
        numbers = self._chosen()
        index = list(self._write_rows(numbers))
        self.rows = len(index)
        self.told = self._told(moment["report"], [row["index"] for row in index])
        answers = {path: tell(run) for view in _VIEWS.values() for path, tell in view.items()}
        everything = {
            "name": run.name,
            "told": self.told,
            "views": list(_VIEWS),
            "moment": {**moment, "rows": self.rows},
            "answers": answers,
            "facets": answers["about"]["facets"],
            "rows": index,
        }
        self._put(_DATA, b"globalThis.herogenRun = %b;\n" % _told_text(everything))
        for name, data in _page_files():
            self._put(name, data)

    def _chosen(self) -> list[int]:
        """The numbers of the rows that may be in it, ascending."""
        pages = self._run.pages
        found = pages.find(RowFilter(), count=MOST_ROWS)
        self.total = found.total
        self._last = max(found.numbers, default=0)
        if found.total <= MOST_ROWS:
            return found.numbers
        marked = pages.find(RowFilter(mark="any"), count=MOST_ROWS).numbers
        return sorted({*found.numbers, *marked})

    def _write_rows(self, numbers: list[int]) -> Iterator[dict[str, Any]]:
        """Write them, and give what each of them can be found by."""
        known = self._known(numbers)
        size = 0
        for place in range(0, len(numbers), _ROWS_A_FILE):
            entries = list(self._run.entries(numbers[place : place + _ROWS_A_FILE]))
            name = f"rows-{place // _ROWS_A_FILE}"
            data = b'herogenRows("%b", %b);\n' % (name.encode(), _told_text(entries))
            size += len(data)
            if size > MOST_ROW_BYTES and place:
                return
            self._put(f"{name}.js", data)
            for entry in entries:
                yield known(entry["row"])

    def _known(self, numbers: list[int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """What gives, for a row, what it can be found and sorted by."""
        pages = self._run.pages
        names = [*pages.known.figure_names, ACCEPTED]
        pages.known.read(set(names), lambda: False)
        rows = np.array(numbers, np.int64)
        figures = {name: dict(zip(numbers, pages.known.figure(name).of(rows).tolist(), strict=True)) for name in names}
        accepted = figures.pop(ACCEPTED)
        marks = {mark: set(pages.find(RowFilter(mark=mark), count=self.total).numbers) for mark in MARKED}
        latest = pages.find(RowFilter(), "latest", count=self.total).numbers
        came = {number: -place for place, number in enumerate(latest)}
        facets = {
            name: {value: at for at, value in enumerate(values)} for name, values in self._run.about()["facets"].items()
        }

        def known(row: dict[str, Any]) -> dict[str, Any]:
            number = row["index"]
            found = {
                "index": number,
                "cell": {name: facets[name].get(row["cell"].get(name), -1) for name in facets},
                "state": row["state"],
                "accepted": {1.0: "yes", 0.0: "no"}.get(accepted[number]),
                "finish": sorted({reason_word(each["finish_reason"]) for each in _answers(row)}),
                "kind": sorted({str(each.get("kind")) for each in row["failures"].values()}),
                "finding": [kind for kind, named in pages.findings.rows.items() if number in named],
                "mark": [mark for mark, marked in marks.items() if number in marked],
                "came": came[number],
            }
            told = {name: of[number] for name, of in figures.items() if of[number] == of[number]}
            return {**{name: value for name, value in found.items() if value not in (None, [])}, "figures": told}

        return known

    def _told(self, report: dict[str, Any], numbers: list[int]) -> str:
        at = self._run.at().strftime("%Y-%m-%d %H:%M UTC")
        head = f"A copy of {at}, {report['state'].replace('_', ' ')} then. Nothing can be changed in it."
        if self.rows == self.total:
            return head
        further = sum(number > self._last for number in numbers)
        upto = f"up to row {count(min(self._last, max(numbers, default=0)))}"
        more = f", and {counted(further, 'row')} more with marks" if further else ""
        return f"{head} It has {count(self.rows)} of {counted(self.total, 'row')}: {upto}{more}."

    def _put(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        self.files += 1
        self.bytes += len(data)


def _answers(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for of_column in row["columns"].values():
        yield from (each for each in (of_column if isinstance(of_column, list) else [of_column]) if each is not None)


def _told_text(value: Any) -> bytes:
    """`value` as JSON in a literal of JavaScript: nothing in it is anything but text, to a parser of HTML either."""
    told = codec.dumps(codec.dumps(value).decode("utf-8", "replace"))
    for what, escaped in _FORBIDDEN:
        told = told.replace(what, escaped)
    return told


def _page_files() -> Iterator[tuple[str, bytes]]:
    """The page itself."""
    files = static_files()
    sources = {name: data.decode() for name, data in files.items() if name.endswith(".js")}
    yield _SCRIPT, classic_script(sources, "page.js", {"server.js": "copy.js"}).encode()
    yield "index.html", _index(files["index.html"].decode()).encode()
    for name, data in files.items():
        if not name.endswith(_SERVER_ONLY):
            yield name, data


def _index(page: str) -> str:
    """The page's own HTML, with the policy that a server says in a header, and with its files beside it."""
    charset = '<meta charset="utf-8">\n'
    module = '<script type="module" src="/static/page.js"></script>'
    assert charset in page
    assert module in page
    scripts = "".join(f'<script src="{name}" defer></script>\n' for name in (_DATA, _SCRIPT))
    page = page.replace(charset, f'{charset}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n')
    return page.replace(module, scripts.rstrip()).replace("/static/", "")
