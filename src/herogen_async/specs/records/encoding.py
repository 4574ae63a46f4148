"""The encoding of a text file, found from its bytes: by its mark, as UTF-8 if it is, else by what the text reads like.

A wrong guess turns text into gibberish that nobody may notice. So a guess is taken only where it is likely, the text is
shown as it was read, and no sentence tells to convert a file from an encoding that was not found.
"""

from __future__ import annotations

import re
import unicodedata
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE, getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.errors import InputError
from herogen_async.specs.records.excerpt import quoted

# UTF-32's mark begins with UTF-16's.
_MARKS = (
    (BOM_UTF8, "utf-8-sig"),
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_CHUNK = 1 << 20
_HEAD = 1 << 16
_SAMPLE = 1 << 16  # bytes of lines with other than ASCII: detection takes some 20 ms
_LONGEST_LINE = 1 << 14
# Of 116 samples in 17 languages and 23 encodings, from one short line on, every guess above it was right, and the wrong
# ones were all below 0.09. `tests/specs/records` holds such a table.
_LIKELY = 0.15
_NOISE = 0.12  # below it, what reads as Western text is taken for that
_NAMEABLE = 0.02
# What a guess may be where it is less likely: these are what files in the world are. Others are not named.
_USUAL = {"cp1252", "cp1250", "cp1251", "gb18030", "big5hkscs", "big5", "cp932", "euc_jp", "cp949"}
# The same text in the encoding that has more of it: what begins as the smaller one may go on as this.
_WIDER = {"iso8859_1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932"}
_WIDER |= {"euc_jis_2004": "euc_jp", "iso2022_jp_2": "iso2022_jp"}  # and by the name that people know it by
_WESTERN = "cp1252"
_ACCENTED = "àáâãäåæçèéêëìíîïñòóôöøùúûüßœ"
_WORD = re.compile(r"[^\W\d_]+")
# Western punctuation, where it stands in Western text. Between two letters, only an apostrophe and a dash without
# blanks: other signs there are letters of another encoding.
_BEFORE = r"\u2018\u201c\u201d\u201e\xab\xbb\u2013\u2026\u2022\u20ac\xa3\xa9\xae\xb0\xa7\xbf\xa1\xbd\xb7\xa0"
_BEHIND = r"\u2018\u201c\u201d\xab\xbb\u2013\u2026\u2022\u20ac\xa3\xa9\xae\xb0\xa7\xbd\xb7\u2122\xa0"
_APART = re.compile(rf"(?<![^\W\d_])[{_BEFORE}]|[{_BEHIND}](?![^\W\d_])|[\u2019\u2014]")
_JAPANESE_MAIL = b"\x1b$"  # ISO-2022-JP is ASCII by its bytes


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes become text. `marked`: it begins with a byte order mark. `example`: a guess, and text read
    so.
    """

    codec: str
    marked: bool = False
    example: str | None = None

    @property
    def name(self) -> str:
        """The name that people and `iconv` know it by."""
        return _name_of(self.codec)


def encoding_of(path: Path) -> Encoding:
    """The encoding of the text in `path`. Raises InputError where it can't be told, or bytes are damaged; OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, marked=True)
    if b"\0" in head and (wide := _wide_codec(head)):
        return Encoding(wide)
    is_utf8, has_escapes = _looked_at(path)
    if is_utf8 and not (has_escapes and _is_japanese_mail(path)):
        return Encoding("utf-8")
    return _guess(path)


def _wide_codec(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: every second byte of Western text is NUL, and line breaks are wide too."""
    for codec in reversed(_WIDE):
        width = 4 if "32" in codec else 2
        try:
            text = head[: len(head) // width * width].decode(codec)
        except UnicodeDecodeError as error:
            if error.end < len(head) - 4:
                continue
            text = head[: error.start].decode(codec)
        if b"\n" in head and not ("\n" in text or "\r" in text):  # its line breaks are narrow: a text with one NUL
            continue
        if text.isascii() or _reads_well(text[:4096]):
            narrow = sum(map(str.isascii, text[:4096]))
            if "\0" not in text and narrow * 8 > len(text[:4096]):
                return codec
    return None


def _looked_at(path: Path) -> tuple[bool, bool]:
    """(whether all of it is UTF-8, whether it has escape sequences as ISO-2022-JP has them)."""
    decoder = getincrementaldecoder("utf-8")()
    has_escapes = False
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
                has_escapes = has_escapes or _JAPANESE_MAIL in chunk
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False, has_escapes
    return True, has_escapes


def _is_japanese_mail(path: Path) -> bool:
    found = _detected(_sample(path)[0])
    return found is not None and found[0].startswith("iso2022")


def _guess(path: Path) -> Encoding:
    sample, line = _sample(path)
    if _is_damaged_utf8(sample):
        raise InputError(
            f"line {line:,} of {path.name!r} has bytes that are not UTF-8, and the rest of the file is UTF-8",
            fix="correct or remove that line; the file may have been cut off, or joined from files of two encodings",
        )
    found = _detected(sample)
    if found is None:
        raise InputError(
            f"{path.name!r} is not UTF-8 (line {line:,}), and its encoding can't be told from its text",
            fix="save it as UTF-8 with the program that made it (in a spreadsheet program: CSV UTF-8)",
        )
    codec, likely, text = found
    example = _example(text)
    if likely < _LIKELY:
        raise InputError(
            f"{path.name!r} is not UTF-8 (line {line:,}), and there is too little text to be sure of its encoding",
            fix=f"if it reads right as {_name_of(codec)} ({quoted(example)}): iconv -f {_name_of(codec)} -t UTF-8 FILE "
            "> NEWFILE; if not, save it as UTF-8 with the program that made it",
        )
    return Encoding(codec, example=example)


def _sample(path: Path) -> tuple[bytes, int]:
    """Lines with other than ASCII, and the number of the first that is not UTF-8."""
    kept: list[bytes] = []
    size, first = 0, 0
    for number, line in _raw_lines(path):
        if line.isascii() and _JAPANESE_MAIL not in line:
            continue
        is_first = not first and not _decodes(line)
        if is_first:
            first = number
        if size < _SAMPLE or is_first or not first:
            kept.append(line)
            size += len(line)
        else:
            break
        if size > 2 * _SAMPLE:
            size -= len(kept.pop(0))
    return b"".join(kept), first or 1


def _raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 1
    with path.open("rb") as file:
        while line := file.readline(_LONGEST_LINE):
            yield number, line
            number += line.endswith(b"\n")


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return error.end == len(line) == _LONGEST_LINE  # a character that the cut went through
    return _JAPANESE_MAIL not in line


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8: other encodings hit its patterns by accident only."""
    text = sample.decode("utf-8", errors="replace")
    wide = len(text) - sum(map(str.isascii, text))
    bad = text.count("\ufffd")
    return bad > 0 and wide - bad >= bad


def _detected(sample: bytes) -> tuple[str, float, str] | None:
    """(codec, how likely, the text)."""
    import chardet  # noqa: PLC0415 - only for the files that are not UTF-8

    western = _decoded(sample, _WESTERN)
    is_western = western is not None and _is_western(western)
    found = chardet.detect(sample, compat_names=False)
    codec = (found["encoding"] or "").lower().replace("-", "_")
    likely = found["confidence"]
    for each in dict.fromkeys((_WIDER.get(codec, codec), codec)):
        text = _decoded(sample, each)
        if is_western and western is not None and (likely < _NOISE or text == western):
            return _WESTERN, _LIKELY, western
        if text is not None and _reads_well(text):
            sure = likely >= _LIKELY or (each in _USUAL and likely >= _NAMEABLE)
            return (each, likely, text) if sure else None
    return None


def _decoded(sample: bytes, codec: str) -> str | None:
    """The text; a character that is cut at the end of a sample is left out."""
    try:
        return getincrementaldecoder(codec)().decode(sample)
    except (LookupError, UnicodeDecodeError):
        return None


def _is_western(text: str) -> bool:
    """Whether all that is not ASCII is accents in words of mostly plain letters, and punctuation in its places."""
    for word in _WORD.findall(text):
        if word.isascii():
            continue
        plain = word.replace("õe", "oe")  # Portuguese; elsewhere it is another encoding's letter
        accents = [letter for letter in plain if not letter.isascii()]
        as_written = word.isupper() or word[1:].islower() or len(word) == 1
        if not as_written or not set("".join(accents).lower()) <= set(_ACCENTED) or len(accents) * 2 > len(word) + 1:
            return False
    rest = _APART.sub("", _WORD.sub("x", text))
    return rest.isascii()


def _reads_well(text: str) -> bool:
    """No control character, and none that stands for nothing."""
    strange = {character for character in set(text) if unicodedata.category(character) in ("Cc", "Co", "Cn", "Cs")}
    return strange <= set("\t\n\r\x0b\x0c\x1b")


def _example(text: str) -> str:
    at = next((place for place, character in enumerate(text) if not character.isascii()), 0)
    start = text.rfind("\n", 0, at) + 1
    line = text[max(start, at - 20) :].split("\n", 1)[0]
    return line.strip()[:40]


def _name_of(codec: str) -> str:
    name = codec.upper().replace("_", "-").removesuffix("-SIG")
    for ours, theirs in (
        ("CP125", "WINDOWS-125"),
        ("ISO2022", "ISO-2022"),
        ("BIG5HK", "BIG5-HK"),
        ("ISO8859", "ISO-8859"),
    ):
        name = name.replace(ours, theirs)
    return name
