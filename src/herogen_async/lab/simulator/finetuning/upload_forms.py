"""Uploads as clients send them: multipart/form-data, read into fields and one file. Pure."""

from __future__ import annotations

from typing import NamedTuple

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request

_MOST_PARTS = 16
_FIELD_LIMIT = 4096  # bytes of a field that is no file


class Form(NamedTuple):
    """What was sent: fields by name, and the files' contents by the names of their fields."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]  # the file's own name, its content


def read_form(content_type: str, body: bytes) -> Form:
    """The form in `body`. Raises Unreadable."""
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Unreadable(bad_request("The body must be multipart/form-data, with a boundary."))
    form = Form({}, {})
    part: MultipartSegment | None = None
    pieces: list[bytes] = []
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=_MOST_PARTS) as parser:
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    part, pieces = event, []
                elif event is not None:
                    pieces.append(bytes(event))
                elif part is not None:
                    _add(form, part, b"".join(pieces))
    except MultipartError as error:
        raise Unreadable(bad_request(f"The body is not complete multipart/form-data: {error}.")) from None
    return form


def _add(form: Form, part: MultipartSegment, content: bytes) -> None:
    if part.filename is not None:
        form.files[part.name] = part.filename, content
    elif len(content) <= _FIELD_LIMIT:
        form.fields[part.name] = content.decode("utf-8", "replace")
    else:
        raise Unreadable(bad_request(f"The field {part.name[:64]!r} is larger than {_FIELD_LIMIT} bytes."))
