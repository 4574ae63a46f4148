"""oaib: `Batch.add` and `Batch.run`, a line appended in its callback (it keeps results in memory only).

It starts requests at a rate and doesn't bound those in flight, so its client gets a pool of 64 connections. Its log
file and progress bars are off.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from driving import KEY, MODEL, SAMPLING, UNLIMITED_RPM, UNLIMITED_TPM, Job, drive, json_lines


def generate(job: Job) -> None:
    import httpx2  # noqa: PLC0415
    from oaib import Batch  # noqa: PLC0415
    from openai import DefaultAsyncHttpxClient  # noqa: PLC0415

    async def run() -> None:
        timeout = {} if job.timeout_s is None else {"timeout": job.timeout_s}
        limits = httpx2.Limits(max_connections=job.concurrency, max_keepalive_connections=job.concurrency)
        batch = Batch(
            rpm=job.rpm or UNLIMITED_RPM,
            tpm=UNLIMITED_TPM,
            workers=job.concurrency,
            loglevel=0,
            logdir=str(job.out / "log.txt"),
            api_key=KEY,
            base_url=job.base_url,
            http_client=DefaultAsyncHttpxClient(limits=limits),
            **timeout,
        )
        for index, messages in enumerate(job.conversations()):
            await batch.add(metadata={"index": index}, model=MODEL, messages=messages, **SAMPLING)
        with (job.out / "out.jsonl").open("a") as out:

            async def persist(row: Any) -> None:
                answer = {"index": int(row.at[0, "index"]), "result": row.at[0, "result"]}
                out.write(json.dumps(answer) + "\n")
                out.flush()

            await batch.run(callback=persist)

    asyncio.run(run())


def count(out: Path) -> int:
    return len({row["index"] for row in json_lines(out.glob("out.jsonl"))})


if __name__ == "__main__":
    drive(generate, count)
