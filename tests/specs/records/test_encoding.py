"""Encodings: text of any of them is read right, or nothing is said that would turn it into gibberish."""

# ruff: noqa: RUF001 - texts in many scripts
from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herogen_async.core.errors import InputError
from herogen_async.specs.records import open_records
from herogen_async.specs.records.encoding import encoding_of

SENTENCES = {
    "zh": "这个男人拥有隐身的超能力，他在黑夜里保护着城市。她能够读懂别人的思想，因此大家都很害怕她。",
    "tw": "這個男人擁有隱身的超能力，他在黑夜裡保護著城市。她能夠讀懂別人的思想，因此大家都很害怕她。",
    "ja": "彼は透明になる力を持っている。彼女は人の心を読むことができるので、みんなに恐れられている。",
    "ko": "그는 투명해지는 능력을 가지고 있다. 그녀는 사람들의 마음을 읽을 수 있어서 모두가 두려워한다.",
    "ru": "Он обладает способностью становиться невидимым. Она умеет читать мысли, поэтому все её боятся.",
    "de": "Er kann sich unsichtbar machen und schützt die Stadt. Größe, Stärke und Übermut machten ihn berühmt.",
    "fr": "Il possède le pouvoir de devenir invisible et protège la cité. Où est-il né ? À l'été, près de la forêt.",
    "en": "It\u2019s the \u201cbest\u201d hero \u2014 na\u00efve, brave and 5 \u20ac a day\u2026 a r\u00e9sum\u00e9.",
    "pl": "On potrafi stać się niewidzialny i chroni miasto nocą. Żółty bohater źle śpi, gdyż pilnuje Łodzi. "
    "Proszę napisać opis człowieka.",
    "tr": "Görünmez olma gücüne sahip ve şehri geceleri koruyor. İnsanların düşüncelerini okuyabiliyor.",
    "el": "Έχει τη δύναμη να γίνεται αόρατος και προστατεύει την πόλη.",
    "th": "เขามีพลังที่จะหายตัวได้และปกป้องเมือง เธออ่านใจคนอื่นได้",
}
ENCODED = [
    *(("zh", name) for name in ("gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")),
    *(("tw", name) for name in ("big5", "gb18030", "utf-16-be")),
    *(("ja", name) for name in ("shift_jis", "cp932", "euc_jp", "iso2022_jp")),
    *(("ru", name) for name in ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic")),
    *(("de", name) for name in ("latin_1", "cp1252", "utf-16")),
    *(("fr", name) for name in ("latin_1", "cp1252", "utf-16-le")),
    *(("pl", name) for name in ("cp1250", "iso8859_2")),
    *(("tr", name) for name in ("cp1254", "iso8859_9")),
    *(("el", name) for name in ("cp1253", "iso8859_7")),
    *(("ko", "cp949"), ("en", "cp1252"), ("th", "cp874")),
]


def table(text: str) -> str:
    return "prompt,completion\n" + "".join(f"q{place},{part.strip()}\n" for place, part in enumerate(text.split(".")))


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("language", "encoding"), ENCODED)
def test_a_table_in_its_countrys_encoding_is_read(language: str, encoding: str, tmp_path: Path) -> None:
    """A spreadsheet's CSV from anywhere comes out as it was typed, and says how it was read."""
    text = table(SENTENCES[language].replace(",", ";"))
    file = open_records(write(tmp_path / "a.csv", text.encode(encoding)), wanted=("prompt", "completion"))
    found = [tuple(record.values.values()) for record in file]
    assert [tuple(line.split(",", 1)) for line in text.splitlines()[1:]] == found
    assert any("not UTF-8" in remark.text for remark in file.remarks)
    assert encoding.startswith("utf") or any(remark.warning for remark in file.remarks)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 13, 21])
def test_too_little_text_is_no_reason_for_gibberish(language: str, length: int, tmp_path: Path) -> None:
    """However short: what is read is right, and what a fix names is right where it reads right."""
    for encoding in [name for of, name in ENCODED if of == language and not name.startswith("utf")]:
        words = SENTENCES[language].split(" ")
        text = "prompt,completion\na," + (" ".join(words[:length]) if len(words) > 8 else words[0][:length]) + "\n"
        content = text.encode(encoding)
        if content.isascii() and b"\x1b" not in content:
            continue
        try:
            found = encoding_of(write(tmp_path / "a.csv", content))
        except InputError as refused:
            named = re.search(r"reads right as (\S+) \((.*)\)", refused.fix or "")
            shown = named and named[2].strip("'\"") in text  # who sees another text does not convert
            assert not named or not shown or text == content.decode(named[1].replace("WINDOWS-", "cp"))
        else:
            assert found.example is None or found.example in content.decode(found.codec)


def test_a_long_line_is_known_by_a_part_of_it(tmp_path: Path) -> None:
    """Also where the part ends inside of a character."""
    for blank in ("", " "):
        text = f'[{{"prompt": "{blank}{SENTENCES["zh"] * 3000}", "completion": "x"}}]'
        path = write(tmp_path / "a.json", text.encode("gb18030"))
        assert "gb18030" == encoding_of(path).codec


def test_a_screens_escapes_are_no_encoding(tmp_path: Path) -> None:
    """UTF-8 stays UTF-8, whatever ISO-2022-JP would make of it."""
    assert "utf-8" == encoding_of(write(tmp_path / "a.txt", "\x1b$ ls\n\x1b$B größer\n".encode())).codec
    assert "utf-8" == encoding_of(write(tmp_path / "a.txt", b"\x1b$ ls\nplain\n")).codec


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_unicode_is_always_known(tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str) -> None:
    """Whatever the text, UTF-8 and what bears a mark is never guessed at."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        return
    if encoding == "utf-8" and text.startswith("\ufeff"):
        return
    path = write(tmp_path_factory.getbasetemp() / "unicode", text.encode(encoding))
    assert text == path.read_text(encoding_of(path).codec) or "\r" in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "prompt,completion\na,Größe\n".encode() + b"b,gr\xfc\xdfe\n",
            r"line 3 of 'a.csv' has bytes that are not UTF-8",
        ),
        ("prompt,completion\na,漢字漢字\n".encode()[:-2], r"line 2 of 'a.csv' has bytes that are not UTF-8"),
        (b"prompt,completion\na," + bytes(range(128, 256)) * 4, r"can't be told from its text"),
        (b"prompt,completion\na\0,b\n", r"contains a NUL byte \(line 2\)"),
        (b"q,t\n1,2\n3\0,4\n", r"contains a NUL byte \(line 3\)"),
        (b'{"q":"ab\0c"}\n', r"contains a NUL byte \(line 1\)"),
    ],
)
def test_damaged_text_is_no_other_encoding(content: bytes, words: str, tmp_path: Path) -> None:
    """Mixed, cut and binary files are refused with the line, and no encoding is named."""
    with pytest.raises(InputError, match=words) as refused:
        list(open_records(write(tmp_path / "a.csv", content)))
    assert "iconv" not in str(refused.value.fix)


def test_a_late_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Also behind more text than is looked at to find an encoding."""
    rows = "".join(f"é{place},ü{place}\n" for place in range(9_000)).encode()
    path = write(tmp_path / "a.csv", b"prompt,completion\n" + rows + b"caf\xe9,b\n")
    with pytest.raises(InputError, match=r"line 9,002 .* not UTF-8, and the rest of the file is UTF-8"):
        encoding_of(path)


@pytest.mark.parametrize("name", ["EUC-JP", "ISO-2022-JP"])
def test_an_encoding_has_the_name_that_people_know(name: str, tmp_path: Path) -> None:
    """Not that of a later edition, which has the same text in the same bytes."""
    assert name == encoding_of(write(tmp_path / "a.csv", table(SENTENCES["ja"]).encode(name))).name
