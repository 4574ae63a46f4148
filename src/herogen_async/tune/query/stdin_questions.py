"""Questions on standard input: all of them are decoded and checked before the first one is asked. Pure.

What a line is made of is told by its bytes alone: UTF-8, or UTF-16 and UTF-32 where a byte order mark says so. A byte
that fits neither is a mistake to mend, never a question with a hole in it.
"""

from __future__ import annotations

import codecs

from herogen_async.core.errors import InputError
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.tune.query.questions import QuestionText, question_of_line

MAX_STDIN_BYTES = 256 << 20  # some million questions: they are held in memory, as their answers are not
MARK = "\ufeff"  # the byte order mark; one at the start of each file where several were joined
_FIX = "save it as UTF-8, e.g. with `iconv -f LATIN1 -t UTF-8`"
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def questions_in(data: bytes, recipe: Recipe, *, chat: bool = True) -> list[QuestionText]:
    """The question on each line of `data` that is not blank. InputError names the first line that is none."""
    if len(data) > MAX_STDIN_BYTES:
        raise InputError(
            f"standard input is larger than {MAX_STDIN_BYTES >> 20} MiB", fix="ask its questions in several goes"
        )
    questions = []
    for number, line in enumerate(_lines(data), start=1):
        where = f"line {number} of standard input"
        if (text := _plain(line, where)).strip():
            questions.append(question_of_line(text, recipe, where, chat=chat))
    if not questions:
        raise InputError("no question given: standard input is empty", fix='give a question, e.g. "40, woman, Healing"')
    return questions


def dialog_line(data: bytes, where: str) -> str:
    """One line of a dialog, read by itself. Raises InputError, which calls it `where`."""
    try:
        return _plain(data.decode().rstrip("\r\n"), where)
    except UnicodeDecodeError as broken:
        raise InputError(_not_utf8(where, broken), fix=_FIX) from None


def _lines(data: bytes) -> list[str]:
    encoding = next((name for mark, name in _WIDE if data.startswith(mark)), "utf-8")
    try:
        return _split(data.decode(encoding))
    except UnicodeDecodeError as broken:
        number = len(_split(data[: broken.start].decode(encoding, "replace")))
        where = f"line {number} of standard input"
        if encoding == "utf-8":
            raise InputError(_not_utf8(where, broken), fix=_FIX) from None
        raise InputError(f"{where} is broken {encoding.upper()}", fix="save it as UTF-8") from None


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _plain(line: str, where: str) -> str:
    line = line.removeprefix(MARK)
    if "\0" in line:
        raise InputError(f"{where} holds NUL bytes, as UTF-16 without a byte order mark does", fix="save it as UTF-8")
    return line


def _not_utf8(where: str, broken: UnicodeDecodeError) -> str:
    return f"{where} is not UTF-8: byte 0x{broken.object[broken.start]:02x}"
