"""YAML to nodes, from the parser's events: no object is built from a tag, and no alias can expand without bound.

Two parsers give the same events. ruamel.yaml's is YAML 1.2 to the letter, says what is wrong, and takes 30 us a value.
libyaml's (PyYAML's C parser) takes 1 us; it is asked first for a long text, where the two can't differ, and whatever it
does not like is read again by the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from herogen_async.core.likeness import shown
from herogen_async.specs.spec.node import MAX_DEPTH, Listing, Mapping, Node, Scalar, fail

MAX_ALIASED = 10_000  # nodes that all aliases together expand to: stops a "billion laughs" file
LONG_TEXT = 64 << 10  # characters: shorter ones take the careful parser some 0.1 s

# Where libyaml, which is YAML 1.1, may read something else: line ends of 1.1, tabs, directives, ends of documents, keys
# that a lone question mark begins, and names of anchors that hold more than letters, digits, - and _.
_DIFFERS = re.compile(
    r"[\t\x85\u2028\u2029\ufeff]|^%|^\.\.\.|(?:^[ -]*|[,\[{]\s*)\?(?=[\s,\]}]|$)"
    r"|(?:^|[\s,\[{])[&*][\w-]*[^\w\s,\]}-]",
    re.MULTILINE,
)
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")  # a surrogate pair: one character, as JSON escapes it
# A text that begins with a placeholder and goes on: `prompt: {age} years`.
_OPEN_PLACEHOLDER = re.compile(r":\s+\{\s*\w+(?:\.\w+)?\s*\}\s*[^\s,}\]#]")
_CORE = "tag:yaml.org,2002:"
_TAGS = {"!", *(_CORE + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map"))}

# (the parser's words, our message, the fix); the first match wins
_WORDS = (
    ("'\\t'", "tab where YAML needs spaces", "indent with spaces"),
    ("cannot start any token", "a value can't start with this character", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "a second ':' on the line, or wrong indentation",
        "quote values that contain ': '",
    ),
    ("unexpected end of stream", "a quote is never closed", "close the quote"),
    ("but got '<stream end>'", "a bracket is never closed", "close the bracket"),
    ("expected ',' or", "missing ',' or closing bracket", "close the bracket, or quote the value before it"),
    ("could not find expected ':'", "key without ':'", "write `key: value`, with a space after the colon"),
    ("expected <block end>", "this line's indentation does not match its neighbours", "align it with them"),
    ("unknown escape character", "unknown backslash escape", "double the backslash, or use single quotes"),
    ("undefined tag handle", "custom tags are not allowed", "remove the tag"),
)


def read_yaml(text: str) -> Node | None:
    """The only document in `text`, or None when it is empty. Raises TextError when it is not safe YAML 1.2."""
    if len(text) >= LONG_TEXT and not _DIFFERS.search(text):
        quick = _Builder()
        try:
            for event in _quick_events(text):
                quick.take(event)
            return quick.root
        except Exception:  # noqa: S110 - whatever it is, the careful parser says it in our words
            pass
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except ReaderError as broken:
        line = text.count("\n", 0, broken.position) + 1
        found = text[broken.position : broken.position + 1]
        fail(line, f"character {found!r} is not allowed in YAML", "remove it")
    except MarkedYAMLError as broken:
        _fail_at(broken, text.splitlines())
    except (YAMLError, UnicodeError, ValueError) as broken:
        fail(builder.line, f"the YAML after this line can't be parsed ({type(broken).__name__})", "check its escapes")
    return builder.root


def _quick_events(text: str) -> Iterator[Any]:
    # Long texts alone need it, and not every build of PyYAML has it.
    from yaml.cyaml import CParser  # type: ignore[import-untyped]  # noqa: PLC0415

    parser = CParser(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _events(text: str) -> Iterator[Any]:
    yaml: Any = YAML(typ="safe", pure=True)
    events: Iterator[Any] = yaml.parse(text)
    return events


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet."""

    node: Listing | Mapping
    anchor: str | None
    key: Scalar | None = None


class _Builder:
    """Builds nodes from events, without recursion. An alias shares the node it refers to."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.line = 1
        self._documents = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._aliased = 0

    def take(self, event: Any) -> None:
        self.line = event.start_mark.line + 1
        kind = type(event).__name__  # the same in both parsers
        if kind == "ScalarEvent":
            self._scalar(event)
        elif kind == "AliasEvent":
            self._alias(event.anchor)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._start(event)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            ended = self._open.pop()
            self._place(ended.node, ended.anchor)
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                fail(self.line, "a second document starts here ('---')", "keep one spec per file")

    def _scalar(self, event: Any) -> None:
        tag = self._safe_tag(event)
        plain = event.implicit[0] if tag is None else tag not in ("!", _CORE + "str")
        text = _PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), event.value)
        self._place(Scalar(text, plain, self.line), event.anchor)

    def _start(self, event: Any) -> None:
        self._safe_tag(event)
        if len(self._open) >= MAX_DEPTH:
            fail(self.line, f"nested more than {MAX_DEPTH} levels deep", "flatten it")
        is_mapping = type(event).__name__ == "MappingStartEvent"
        node: Mapping | Listing = Mapping([], self.line) if is_mapping else Listing([], self.line)
        self._open.append(_Open(node, event.anchor))

    def _alias(self, anchor: str) -> None:
        node = self._anchors.get(anchor)
        if node is None:
            fail(self.line, f"unknown alias '*{anchor}'", f"mark a value above it with '&{anchor}'")
        self._aliased += _size(node)
        if self._aliased > MAX_ALIASED:
            fail(self.line, f"aliases such as '*{anchor}' expand to more than {MAX_ALIASED:,} nodes", "write them out")
        self._place(node, None)

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        around = self._open[-1]
        if isinstance(around.node, Listing):
            around.node.items.append(node)
        elif around.key is not None:
            around.node.pairs.append((around.key, node))
            around.key = None
        elif isinstance(node, Scalar):
            around.key = Scalar(node.text, node.plain, self.line)
        else:
            fail(node.line, "a list or mapping can't be a key", "use a plain name as the key")

    def _safe_tag(self, event: Any) -> str | None:
        tag = None if event.tag is None else str(event.tag)
        if tag is not None and tag not in _TAGS:
            fail(
                self.line,
                f"unsafe tag {shown(tag)}: a spec holds only text, numbers, lists and mappings",
                "remove the tag",
            )
        return tag


def _size(node: Node) -> int:
    """How many nodes `node` expands to: at most what was written plus MAX_ALIASED, as larger ones are rejected."""
    if isinstance(node, Scalar):
        return 1
    return 1 + sum(map(_size, node.items if isinstance(node, Listing) else (item for _, item in node.pairs)))


def _fail_at(broken: MarkedYAMLError, lines: list[str]) -> NoReturn:
    opened = "stream" in (broken.problem or "")  # what is never closed is fixed where it was opened
    mark = (opened and broken.context_mark) or broken.problem_mark or broken.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    said = broken.problem or ""
    message, fix = next(
        ((ours, fix) for theirs, ours, fix in _WORDS if theirs in said),
        ("invalid YAML", "check quotes, brackets and indentation, here and on the line before"),
    )
    here = lines[line] if line < len(lines) else ""
    if _OPEN_PLACEHOLDER.search(here):
        message, fix = "an unquoted { begins a mapping", "put the whole text in quotes"
    fail(line + 1, f"broken YAML at column {column + 1}: {message}: {shown(here)}", fix)
