"""Files and fine-tuning jobs at any OpenAI-shaped service, through the `openai` client: plain JSON in and out.

Asking costs nothing and is tried again; what costs is tried once, and who asked decides what a lost answer means.
Sources: OpenAI's API reference of files, uploads and fine-tuning; the SDK's own sources for how errors are raised.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asyncio_throttle.throttler import Throttler
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from herogen_async.core import codec
from herogen_async.core.errors import (
    BadAnswer,
    ConnectionFailed,
    EndpointError,
    EndpointRefused,
    InputError,
    NotReadyYet,
    ParkReason,
    RetryableError,
    RowRefused,
)
from herogen_async.generation.endpoint.http.sdk_transport import sdk_client
from herogen_async.generation.endpoint.redact import Redactor
from herogen_async.generation.endpoint.target import Server
from herogen_async.generation.endpoint.translate import error_from

if TYPE_CHECKING:
    import openai

WHOLE_FILE_BYTES = 512_000_000  # what `POST /files` takes; larger ones go by `uploads`
PART_BYTES = 64_000_000  # the largest part that `uploads` takes
_CALLS_A_S = 10  # of the control plane: far below what any service allows, and nobody waits for it
_LOOKS = 4  # tries of a call that costs nothing: some 10 s of trouble
_LONGEST_NAP_S = 8.0
_ANSWER_S = 60.0  # for an answer to a small question
_UPLOAD_S = 3_600.0  # 512 MB at 150 kB/s
_PAGE = 100  # what every service gives at once
_ID_NAMES = ("id", "job_id", "file_id")
_NOT_THERE = (404, 410)  # the path may be right, and what it names gone
_MOST_PAGES = 200  # a service whose pages never end is not read for ever

# A call that names a file which the service is still reading: it has made nothing of it. Azure's, OpenAI's and
# Fireworks' words.
_TURNED_AWAY = (400, 404, 409, 412, 422, 424, 425)
_NOT_READY = re.compile(
    r"(?is)(?=.*\b(?:files?|uploads?|uploaded|data ?sets?|training data)\b|.*\bfile-)"
    r".*(?:\bnot (?:yet |been )*(?:ready|processed|finished|validated|uploaded|imported)\b|\bisn.t ready\b"
    r"|\bstill (?:being |in )?(?:process|pend|upload|validat|import|prepar|check)"
    r"|\b(?:is|are) (?:being |currently |now )*(?:process|pending|uploading|validating|validated|import|prepar|check)"
    r"|\b(?:state|status)\b.{0,24}\b(?:uploading|uploaded|pending|processing|validating|queued|running)\b"
    r"|\btry again (?:later|in|when|once)\b)"
    # A file that was just uploaded, and that not all of the service knows yet.
    r"|\bfile[-_ ][\w-]*\d[\w-]*\W.{0,40}\b(?:not found|not exist|n.t exist)\b"
)

_CLOSED = (
    "this service accepts no new fine-tuning jobs from this account. Alternatives: this machine (--backend local, "
    "no key needed); another OpenAI-compatible fine-tuning service (--base-url: Nebius, Crusoe, Azure); or your own "
    "trainer, with the files of: herogen-async assemble RUN --format messages"
)


_Ask = Callable[["openai.AsyncOpenAI"], Awaitable[Any]]
_Page = Callable[..., Awaitable[Any]]  # takes the client, and where the page begins


class FineTuningService:
    """One service. Use as an async context manager."""

    def __init__(self, server: Server) -> None:
        self.base_url = server.base_url
        self._server = server
        self._redact = Redactor(server.api_key if isinstance(server.api_key, str) else None)
        self._pace = Throttler(rate_limit=_CALLS_A_S, period=1.0)
        self._opened: openai.AsyncOpenAI | None = None

    async def __aenter__(self) -> FineTuningService:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def model(self, name: str) -> dict[str, Any]:
        """What the service says of the model `name`. Raises EndpointRefused where it serves none by that name."""
        return await self._look(lambda raw: raw.models.with_raw_response.retrieve(name))

    async def models(self) -> list[str]:
        """The names of the models that it lists."""
        answer = await self._look(lambda raw: raw.get("/models", cast_to=_raw_type()))
        return [str(each.get("id")) for each in _rows(answer, "a list of models")]

    async def upload(self, file: Path, name: str) -> str:
        """Hand over `file` for fine-tuning; its id. One try."""
        if (size := size_of(file)) > WHOLE_FILE_BYTES:
            return await self._upload_in_parts(file, name, size)
        with as_uploaded(file) as content:
            answer = await self._once(
                lambda raw: raw.files.with_raw_response.create(
                    file=(name, content), purpose="fine-tune", timeout=_UPLOAD_S
                )
            )
        return _id(answer, "a file")

    async def files(self) -> AsyncIterator[dict[str, Any]]:
        """The files that are there for fine-tuning."""
        async for each in self._pages(
            lambda raw, **after: raw.files.with_raw_response.list(purpose="fine-tune", **after), "a list of files"
        ):
            yield each

    async def file(self, file_id: str) -> dict[str, Any]:
        """One file. One try."""
        return await self._once(lambda raw: raw.files.with_raw_response.retrieve(file_id))

    async def create(self, body: Mapping[str, Any], tag: str) -> dict[str, Any]:
        """Start a job. One try; a service that knows Idempotency-Key answers a repeated one with the first's job."""
        key = {"Idempotency-Key": f"{tag}-{codec.fingerprint(dict(body))[:8]}"}  # another body is another call
        answer = await self._once(  # by its path: the SDK's own call takes no field that it does not know
            lambda raw: raw.post("/fine_tuning/jobs", body=dict(body), options={"headers": key}, cast_to=_raw_type())
        )
        _id(answer, "a job")
        return answer

    async def jobs(self) -> AsyncIterator[dict[str, Any]]:
        """The jobs of the account."""
        async for each in self._pages(
            lambda raw, **after: raw.fine_tuning.jobs.with_raw_response.list(limit=_PAGE, **after), "a list of jobs"
        ):
            yield each

    async def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        answer = await self._look(lambda raw: raw.fine_tuning.jobs.with_raw_response.retrieve(job_id))
        _id(answer, "a job")
        return answer

    async def events(self, job_id: str) -> AsyncIterator[dict[str, Any]]:
        """What happened to a job, the latest first."""
        async for each in self._pages(
            lambda raw, **after: raw.fine_tuning.jobs.with_raw_response.list_events(job_id, limit=_PAGE, **after),
            "a list of events",
        ):
            yield each

    async def checkpoints(self, job_id: str) -> AsyncIterator[dict[str, Any]]:
        """The checkpoints of a job, the latest first."""
        async for each in self._pages(
            lambda raw, **after: raw.fine_tuning.jobs.checkpoints.with_raw_response.list(job_id, limit=_PAGE, **after),
            "a list of checkpoints",
        ):
            yield each

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """End a job. To end it twice costs nothing, so it is tried again."""
        return await self._look(lambda raw: raw.fine_tuning.jobs.with_raw_response.cancel(job_id))

    async def _upload_in_parts(self, file: Path, name: str, size: int) -> str:
        begun = await self._once(
            lambda raw: raw.uploads.with_raw_response.create(
                bytes=size, filename=name, mime_type="application/jsonl", purpose="fine-tune"
            )
        )
        upload, parts = _id(begun, "an upload"), []
        with as_uploaded(file) as content:
            while part := content.read(PART_BYTES):
                answer = await self._once(self._sends_part(upload, part))
                parts.append(_id(answer, "a part"))
        done = await self._once(lambda raw: raw.uploads.with_raw_response.complete(upload, part_ids=parts))
        return _id(done.get("file"), "a file")

    def _sends_part(self, upload: str, part: bytes) -> _Ask:
        return lambda raw: raw.uploads.parts.with_raw_response.create(upload, data=part, timeout=_UPLOAD_S)

    async def _pages(self, ask: _Page, what: str) -> AsyncIterator[dict[str, Any]]:
        after: dict[str, Any] = {}
        for _ in range(_MOST_PAGES):
            answer = await self._look(partial(ask, **after))
            rows = _rows(answer, what)
            for row in rows:
                yield row
            if not rows or not answer.get("has_more") or after == {"after": rows[-1].get("id")}:
                return
            after = {"after": rows[-1].get("id")}

    async def _look(self, ask: _Ask) -> dict[str, Any]:
        """A call that may be made any number of times."""
        tries = AsyncRetrying(
            retry=retry_if_exception_type(RetryableError),
            wait=wait_random_exponential(max=_LONGEST_NAP_S),
            stop=stop_after_attempt(_LOOKS),
            reraise=True,
        )
        answer: dict[str, Any] = await tries(self._once, ask)
        return answer

    async def _once(self, ask: _Ask) -> dict[str, Any]:
        """One call. Raises EndpointError, InputError for what the service refuses about the order itself."""
        client = self._client()
        async with self._pace:
            with self._translated():
                answer = await ask(client)
        said: dict[str, Any] = self._redact.of_answer(answer.content, _object(answer.content, self._redact))
        return said

    def _client(self) -> openai.AsyncOpenAI:
        if self._opened is None:
            import openai  # noqa: PLC0415 - 0.6 s, which only who asks should pay

            self._opened = openai.AsyncOpenAI(
                api_key=self._server.api_key or "none",  # the SDK refuses to be made without one
                base_url=self.base_url,
                max_retries=0,  # one layer retries, and it knows which calls cost
                timeout=_ANSWER_S,
                http_client=sdk_client(self.base_url, timeout_s=_ANSWER_S, redact=self._redact),
            )
        return self._opened

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import openai  # noqa: PLC0415

        try:
            yield
        except openai.APIStatusError as error:
            answer = error.response
            raise _meaning(
                error_from(answer.status_code, answer.headers.get, answer.content, redact=self._redact)
            ) from None
        except RetryableError as error:  # of the way there
            error.fix = error.fix or "check --base-url and the network, or try again later"
            raise
        except openai.APIConnectionError as error:  # an SDK that makes it one of its own
            if isinstance(error.__cause__, EndpointError):
                raise error.__cause__ from None
            raise ConnectionFailed(f"the call failed: {self._redact.excerpt(str(error.__cause__ or error))}") from None
        except openai.OpenAIError as error:
            raise BadAnswer(f"{type(error).__name__}: {self._redact.excerpt(str(error))}") from None


def size_of(file: Path) -> int:
    """Bytes of `file` as it is uploaded."""
    with as_uploaded(file) as content:
        return content.seek(0, io.SEEK_END)


def as_uploaded(file: Path) -> BinaryIO:
    """`file` of JSON lines as services take it: without a byte order mark and blank lines."""
    with file.open("rb") as content:
        first = next(content, b"")
        is_clean = not first.startswith(codecs.BOM_UTF8) and bool(first.strip()) and all(map(bytes.strip, content))
        if is_clean:
            return file.open("rb")
        content.seek(0)
        whole = content.read().removeprefix(codecs.BOM_UTF8)
    return io.BytesIO(b"".join(line for line in io.BytesIO(whole) if line.strip()))


def _meaning(error: EndpointError) -> EndpointError | InputError:
    """What the refusals of a fine-tuning service mean, where that is not what the ones of a row mean."""
    said = error.message
    if error.status in _TURNED_AWAY and (_NOT_READY.search(said) or "not_ready" in (error.code or "")):
        return NotReadyYet(said, status=error.status, code=error.code, fix="run the same command again later")
    if error.code == "training_not_available":
        return InputError(f"fine-tuning is not available: {said}", fix=_CLOSED)
    if isinstance(error, RowRefused):
        return InputError(f"the service refuses this fine-tune: {said}", fix="fix what it names, then try again")
    if isinstance(error, EndpointRefused):
        # Many services have no code for it: their words are all that tells the model from the job or the path.
        about_model = error.code == "model_not_found" or (error.status in (400, 404) and "model" in said.lower())
        if about_model:
            return InputError(
                f"the service can't fine-tune this model: {said}",
                fix="choose another with --model; see its documentation",
            )
        if error.park_reason is ParkReason.NOT_FOUND and error.status not in _NOT_THERE:
            error.fix = "no fine-tuning service answers there: check --base-url (it usually ends in /v1)"
    return error


def _object(body: bytes, redact: Redactor) -> dict[str, Any]:
    try:
        value = codec.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        text = redact.excerpt(body[:400].decode("utf-8", "replace"))
        raise BadAnswer(f"not a JSON object: {text[:120]!r}", fix="check --base-url (it usually ends in /v1)")
    if value.get("error") and "id" not in value:  # a 200 that holds a refusal; a failed job holds its own error, too
        raise _meaning(error_from(200, lambda _: None, body, redact=redact))
    return value


def _rows(answer: dict[str, Any], what: str) -> list[dict[str, Any]]:
    rows = [] if "data" in answer and answer["data"] is None else answer.get("data")  # Go's empty list
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadAnswer(f"an answer that is not {what}")
    return rows


def _id(value: Any, what: str) -> str:
    if isinstance(value, dict) and (found := id_of(value)):
        return found
    raise BadAnswer(f"an answer that is not {what}: it has no id")


def id_of(record: Mapping[str, Any]) -> str:
    """What a file or a job is asked for by; empty where a record says nothing of it."""
    found = next((record[name] for name in _ID_NAMES if record.get(name)), None)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _raw_type() -> Any:
    import httpx2  # noqa: PLC0415

    return httpx2.Response
