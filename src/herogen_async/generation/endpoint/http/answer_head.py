"""The head of a server's answers, once it is known: nearly all are alike but for a few values.

llhttp reads the first answer, byte by byte, and all that are in any way unlike those before. What it has read whole is
a pattern for those to come: the same status line, the same names in the same order, the same framing. Where an answer
fits, and its body is exactly as long as it says, its values are found in one go.
"""

from __future__ import annotations

import re

SOUND = b"HTTP/1.1 200 OK"
_VALUE = rb"([\t\x20-\x7e\x80-\xff]*)"  # RFC 9110, 5.5
_LENGTH = b"content-length"
# What decides how an answer is framed, and whether the connection goes on: it has to be the same, or none of it there.
_SAME = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"content-type"})
_NEVER = frozenset({b"transfer-encoding", b"content-encoding", b"trailer", b"upgrade", b"te"})


class AnswerHead:
    """What answers to this one's server begin with; `names` are those of its headers, in the order of the values."""

    __slots__ = ("_length", "_match", "names")

    def __init__(self, names: tuple[bytes, ...], length: int, pattern: bytes) -> None:
        self.names = names
        self._length = length
        self._match = re.compile(pattern).match

    def read(self, data: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
        """(values, body) of one whole answer; None where it is not quite like the others."""
        found = self._match(data)
        if found is None:
            return None
        values: tuple[bytes, ...] = found.groups()
        body = data[found.end() :]
        return (values, body) if len(body) == int(values[self._length]) else None


def head_of(data: bytes) -> AnswerHead | None:
    """The head of an answer that was read whole; None where others are not to be read by it."""
    head, end, _ = data.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    if status != SOUND or not end:
        return None
    names, pattern = [], [re.escape(SOUND)]
    for line in lines:
        name, colon, value = line.partition(b":")
        lower = name.lower()
        if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or lower in _NEVER:
            return None
        if lower == b"connection" and value.strip().lower() != b"keep-alive":
            return None
        names.append(name)
        if lower == _LENGTH:
            pattern.append(re.escape(name) + rb": ?(\d{1,7})")
        elif lower in _SAME:
            pattern.append(re.escape(name) + b":(" + re.escape(value) + b")")
        else:
            pattern.append(re.escape(name) + b":" + _VALUE)
    lower_names = [name.lower() for name in names]
    if lower_names.count(_LENGTH) != 1:
        return None
    return AnswerHead(tuple(names), lower_names.index(_LENGTH), b"\r\n".join(pattern) + b"\r\n\r\n")
