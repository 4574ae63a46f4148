"""The calls of a fine-tune that must happen once: hand over the files, start the job."""

from __future__ import annotations

from pathlib import Path

from herogen_async.generation.endpoint.fine_tuning import size_of
from herogen_async.generation.intents import OnceCall, Results
from herogen_async.tune.finetune.log_steps import CREATE, files_in, upload_of
from herogen_async.tune.finetune.records import Backend, TuneRequest


def tuning_calls(backend: Backend, request: TuneRequest, tag: str) -> list[OnceCall]:
    """All of them, in order. `tag` is unique to this fine-tune: what they make is found by it."""
    files = (("training", request.training), ("validation", request.validation))
    uploads = [_upload(backend, role, file, f"{tag}-{role}.jsonl") for role, file in files if file is not None]
    return [*uploads, create_call(backend, request, tag)]


def create_call(backend: Backend, request: TuneRequest, tag: str) -> OnceCall:
    """The call that starts the job."""

    async def send(results: Results) -> str:
        return (await backend.create(request, files_in(results), tag)).job_id

    async def find(results: Results) -> str | None:
        job = await backend.find_job(files_in(results), tag)
        return None if job is None else job.job_id

    async def confirm(job_id: str) -> None:
        await backend.job(job_id)

    async def ready(results: Results) -> None:
        await backend.ready(files_in(results))

    return OnceCall(
        CREATE,
        send,
        find,
        makes="job",
        look_for=lambda results: f"a job with the training file {files_in(results).get('training')!r}",
        confirm=confirm,
        ready=ready,
    )


def _upload(backend: Backend, role: str, file: Path, name: str) -> OnceCall:
    async def send(_: Results) -> str:
        return await backend.upload(file, name)

    async def find(_: Results) -> str | None:
        return await backend.find_upload(name, size_of(file))

    return OnceCall(upload_of(role), send, find, makes="file", look_for=lambda _: f"a file named {name!r}")
