"""The real SDK hands files over to the simulated server; what goes wrong after the fact is told by no answer."""

from __future__ import annotations

import asyncio
import importlib
import io
from typing import Any

import httpx2
import pytest

from support.simulated_tuning import MESSAGES, QUEUE_S, TRAIN_S, Service, assert_as_declared, lines, service

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", autouse=True)
def sdk() -> Any:
    """Half a second of imports that is no test's own."""
    return importlib.import_module("openai")


async def test_a_file_comes_back_to_the_byte_until_it_is_deleted(sdk: Any) -> None:
    """A file of arbitrary bytes and name comes back exactly, and is a 404 for every call once deleted."""
    content = b"\r\n--x\r\n\x00\xff\n" + bytes(range(256)) * 40 + b"\r"
    async with service() as served:
        files = served.openai.files
        file = await files.create(file=('né "w".jsonl', content), purpose="fine-tune")
        assert_as_declared(file)
        assert ('né "w".jsonl', len(content), "fine-tune", "processed") == (
            file.filename,
            file.bytes,
            file.purpose,
            file.status,
        )
        assert file == await files.retrieve(file.id)
        assert content == (await files.content(file.id)).read()
        assert (await files.delete(file.id)).deleted
        for gone in (files.retrieve, files.content, files.delete):
            with pytest.raises(sdk.NotFoundError):
                await gone(file.id)
        stats = served.server.stats()
        assert (1, 1) == (stats["files_created"], stats["files_deleted"])


async def test_files_are_listed_by_purpose_order_and_page(sdk: Any) -> None:
    """Files are listed by purpose, order and cursor, and invalid paging is a 400."""
    async with service() as served:
        files = served.openai.files
        made = [(await served.upload(name=f"{number}.jsonl")).id for number in range(4)]
        other = (await served.upload(purpose="user_data")).id
        assert [other, *reversed(made)] == [file.id async for file in files.list()]
        assert made == [file.id async for file in files.list(purpose="fine-tune", order="asc", limit=3)]
        page = await files.list(limit=2, after=other)
        assert ([made[3], made[2]], True) == ([file.id for file in page.data], page.has_more)
        for asked in ({"limit": 10_001}, {"order": "up"}, {"after": "file-none"}):
            with pytest.raises(sdk.BadRequestError):
                await files.list(**asked)


async def test_an_invalid_file_upload_is_a_400_that_says_why(sdk: Any) -> None:
    """Empty files, unknown purposes and malformed forms get a 400 with the reason, and nothing is stored."""
    async with service() as served:
        for file, purpose, word in ((b"", "fine-tune", "empty"), (b"x", "fun", "'fun'")):
            with pytest.raises(sdk.BadRequestError, match=word):
                await served.openai.files.create(file=("a", file), purpose=purpose)
        form = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b'
        for kind, body, word in (
            ("multipart/form-data; boundary=b", form + b"--\r\n", "'file' is a required"),
            ("multipart/form-data; boundary=b", form, "not complete"),
            ("multipart/form-data", form, "boundary"),
            ("application/json", b"{}", "multipart/form-data"),
        ):
            told = await served.plain.post(f"{served.server.url}/files", content=body, headers={"content-type": kind})
            assert (400, True) == (told.status_code, word in told.json()["error"]["message"])
        assert 0 == served.server.stats()["files_created"]


async def test_a_file_over_its_own_limit_is_a_413(sdk: Any) -> None:
    """A file over the limit is a 413, and files may be larger than completion requests."""
    async with service(file_limit=10 << 20) as served:
        for size in ((10 << 20) + 1, 11 << 20):
            with pytest.raises(sdk.APIStatusError) as caught:
                await served.openai.files.create(file=("a", b"x" * size), purpose="fine-tune")
            assert 413 == caught.value.status_code
        kept = await served.openai.files.create(file=("a", b"x" * (10 << 20)), purpose="fine-tune")
        assert 10 << 20 == kept.bytes


@pytest.mark.parametrize("path", ["/v1/files", "/v1/uploads/upload_x/parts", "/v1/fine_tuning/jobs"])
async def test_a_body_that_is_too_large_is_refused_before_it_comes(path: str) -> None:
    """An announced body of a terabyte is refused with 413 before any of it is sent."""
    async with service() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx2.URL(served.server.url).port)
        writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {1 << 40}\r\n\r\n".encode())
        assert b"413" in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_a_large_file_can_be_uploaded_in_parts(sdk: Any) -> None:
    """A chunked upload becomes one file that a job trains on, and can't be cancelled once complete."""
    content = lines(MESSAGES, 30)
    async with service() as served:
        uploads = served.openai.uploads
        done = await uploads.upload_file_chunked(
            file=content,
            filename="big.jsonl",
            bytes=len(content),
            mime_type="text/jsonl",
            purpose="fine-tune",
            part_size=1000,
        )
        assert_as_declared(done)
        assert ("completed", "big.jsonl", len(content)) == (done.status, done.file.filename, done.file.bytes)
        assert content == (await served.openai.files.content(done.file.id)).read()
        job = await served.later(await served.create(done.file), QUEUE_S + TRAIN_S)
        assert "succeeded" == job.status
        stats = served.server.stats()
        assert (1, 1) == (stats["uploads_created"], stats["files_created"])
        with pytest.raises(sdk.BadRequestError, match="completed"):
            await uploads.cancel(done.id)


async def test_an_upload_checks_its_size_checksum_and_expiry(sdk: Any) -> None:
    """Wrong sizes, part ids or checksums are refused, part order is honoured, and an hour ends the upload."""
    announced = {"bytes": 4, "filename": "a", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    async with service() as served:
        uploads = served.openai.uploads
        with pytest.raises(sdk.BadRequestError, match="bytes"):
            await uploads.create(**announced | {"bytes": 0})
        upload = await uploads.create(**announced)
        assert_as_declared(upload)
        first = await uploads.parts.create(upload.id, data=b"abc")
        assert_as_declared(first)
        with pytest.raises(sdk.BadRequestError, match="announced"):
            await uploads.parts.create(upload.id, data=b"de")
        for asked, word in (
            ({"part_ids": [first.id]}, "3 bytes"),
            ({"part_ids": ["part_none"]}, "part_ids"),
            ({"part_ids": [{"id": first.id}]}, "part_ids"),
        ):
            with pytest.raises(sdk.BadRequestError, match=word):
                await uploads.complete(upload.id, **asked)
        second = await uploads.parts.create(upload.id, data=io.BytesIO(b"d"))
        with pytest.raises(sdk.BadRequestError, match="MD5"):
            await uploads.complete(upload.id, part_ids=[first.id, second.id], md5="0" * 32)
        done = await uploads.complete(upload.id, part_ids=[second.id, first.id])
        assert b"dabc" == (await served.openai.files.content(done.file.id)).read()
        assert "cancelled" == (await uploads.cancel((await uploads.create(**announced)).id)).status
        late = await uploads.create(**announced)
        served.clock.time_s += 3601
        with pytest.raises(sdk.BadRequestError, match="expired"):
            await uploads.parts.create(late.id, data=b"abcd")
        with pytest.raises(sdk.NotFoundError):
            await uploads.complete("upload_none", part_ids=["x"])


async def names(served: Service) -> tuple[int, int]:
    """How many files for training and how many jobs a client finds."""
    files = [file async for file in served.openai.files.list(purpose="fine-tune")]
    jobs = [job async for job in served.openai.fine_tuning.jobs.list()]
    return len(files), len(jobs)


@pytest.mark.parametrize(
    ("fault", "error", "kept"),
    [
        ("upload_unavailable", "InternalServerError", 0),
        ("upload_500", "InternalServerError", 1),
        ("upload_reset", "APIConnectionError", 1),
        ("upload_slow", "APITimeoutError", 1),
    ],
)
async def test_an_upload_with_a_lost_response_is_kept_or_not_by_fault(
    sdk: Any, fault: str, error: str, kept: int
) -> None:
    """Each upload fault loses the response, and only the unavailable one keeps the file from being stored."""
    async with service(faults={fault: 1}) as served:
        with pytest.raises(getattr(sdk, error)):
            await served.upload(name="tag.jsonl", timeout=0.2 if fault == "upload_slow" else 10)
        assert (kept, 0) == await names(served)
        assert "tag.jsonl" == (await served.upload(name="tag.jsonl")).filename
        stats = served.server.stats()
        assert ({fault: 1}, kept + 1) == (stats["job_faults"], stats["files_created"])


@pytest.mark.parametrize(
    ("fault", "error", "code", "started"),
    [
        ("not_available", "PermissionDeniedError", "training_not_available", 0),
        ("create_unavailable", "InternalServerError", "server_is_overloaded", 0),
        ("create_500", "InternalServerError", None, 1),
        ("create_reset", "APIConnectionError", None, 1),
        ("create_slow", "APITimeoutError", None, 1),
    ],
)
async def test_a_job_with_a_lost_response_is_started_or_not_by_fault(
    sdk: Any, fault: str, error: str, code: str | None, started: int
) -> None:
    """Each create fault is an SDK error, and the job exists only for faults after it was accepted."""
    async with service(faults={fault: 1}) as served:
        file = await served.upload()
        with pytest.raises(getattr(sdk, error)) as caught:
            await served.create(file, timeout=0.2 if fault == "create_slow" else 10)
        assert code == caught.value.code
        assert (1, started) == await names(served)
        await served.create(file)
        stats = served.server.stats()
        assert ({fault: 1}, started + 1) == (stats["job_faults"], stats["jobs_created"])


async def test_faults_without_a_number_happen_each_time(sdk: Any) -> None:
    """A job fault without a count is raised on every request and counted each time."""
    async with service(faults={"not_available": None}) as served:
        file = await served.upload()
        for _ in range(3):
            with pytest.raises(sdk.PermissionDeniedError):
                await served.create(file)
        assert {"not_available": 3} == served.server.stats()["job_faults"]


@pytest.mark.parametrize(
    ("fault", "code", "passed_s"),
    [("bad_file", "invalid_training_file", QUEUE_S / 2), ("training_fails", "server_error", QUEUE_S + TRAIN_S / 2)],
)
async def test_job_faults_fail_a_job_once_at_their_stage(fault: str, code: str, passed_s: float) -> None:
    """Each job fault fails one job at its due time with its code, and the next job succeeds."""
    async with service(faults={fault: 1}) as served:
        job = await served.create()
        assert "failed" != (await served.later(job, passed_s - 0.1)).status
        failed = await served.later(job, 1000.0)
        assert_as_declared(failed)
        assert ("failed", code, job.created_at + passed_s) == (failed.status, failed.error.code, failed.finished_at)
        assert (None, [], None) == (failed.fine_tuned_model, failed.result_files, failed.trained_tokens)
        assert "succeeded" == (await served.later(await served.create(), 1000.0)).status


async def test_an_idempotency_key_repeats_even_a_lost_answer(sdk: Any) -> None:
    """The same idempotency key gives the same answer, even after the first one was lost."""
    async with service(faults={"upload_reset": 1, "create_reset": 1}) as served:
        files, jobs = served.openai.files, served.openai.fine_tuning.jobs
        sent = {"file": ("a.jsonl", lines(MESSAGES, 12)), "purpose": "fine-tune"}
        with pytest.raises(sdk.APIConnectionError):
            await files.create(**sent, extra_headers={"Idempotency-Key": "up"})
        file = await files.create(**sent, extra_headers={"Idempotency-Key": "up"})
        asked = {"model": "m", "training_file": file.id, "extra_headers": {"Idempotency-Key": "go"}}
        with pytest.raises(sdk.APIConnectionError):
            await jobs.create(**asked)
        job = await jobs.create(**asked)
        assert job == await jobs.create(**asked)
        assert (1, 1) == await names(served)
        for other in (jobs.create(**asked | {"model": "other"}), jobs.create(**asked | {"suffix": "x"})):
            with pytest.raises(sdk.BadRequestError) as caught:
                await other
            assert "idempotency_key_reused" == caught.value.code
        assert job.id != (await jobs.create(**asked | {"extra_headers": {"Idempotency-Key": "more"}})).id
        stats = served.server.stats()
        assert (1, 2, 3) == (stats["files_created"], stats["jobs_created"], stats["repeated_keys"])


async def test_unknown_paths_are_404_and_wrong_methods_405(sdk: Any) -> None:
    """Unknown files, jobs and paths are a 404; known paths with a wrong method are a 405."""
    async with service() as served:
        for method, path, status in (
            ("get", "/files/", 404),
            ("get", "/fine_tuning", 404),
            ("get", "/fine_tuning/jobs/ftjob-none", 404),
            ("get", "/fine_tuning/jobs/ftjob-none/events", 404),
            ("get", "/fine_tuning/jobs/ftjob-none/checkpoints", 404),
            ("post", "/fine_tuning/jobs/x/nothing", 404),
            ("delete", "/files", 405),
            ("get", "/uploads", 405),
            ("post", "/fine_tuning/jobs/x", 405),
        ):
            with pytest.raises(sdk.APIStatusError) as caught:
                await getattr(served.openai, method)(path, cast_to=object)
            assert (path, status) == (path, caught.value.status_code)
