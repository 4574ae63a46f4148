"""async-batch-llm: `process_stream` with its checkpoint file, by its own client of OpenAI-compatible servers.

Its checkpoint is flushed a row and not synced (its default). With `--rpm` its bucket holds one request, instead of
its default of a whole minute: a limit by the second would refuse that, and it rests 300 s after a 429.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from driving import KEY, MODEL, SAMPLING, Job, drive, json_lines


def generate(job: Job) -> None:
    from async_batch_llm import JsonlArtifactStore, ProcessorConfig, llm, process_stream  # noqa: PLC0415

    sampling = {name: value for name, value in SAMPLING.items() if name != "temperature"}
    limit = {} if job.rpm is None else {"max_requests_per_minute": job.rpm, "quota_burst_seconds": 60 / job.rpm}
    timeout = {} if job.timeout_s is None else {"attempt_timeout": job.timeout_s}

    async def run() -> None:
        strategy = llm(
            f"openai-compatible:{MODEL}",
            base_url=job.base_url,
            api_key=KEY,
            temperature=SAMPLING["temperature"],
            generation_config=sampling,
        )
        config = ProcessorConfig(concurrency=job.concurrency, **limit, **timeout)
        store = JsonlArtifactStore(job.out / "out.jsonl")
        prompts = [(str(index), prompt) for index, prompt in enumerate(job.prompts())]
        async for _ in process_stream(strategy, prompts, config=config, artifact_store=store):
            pass

    asyncio.run(run())


def count(out: Path) -> int:
    rows = (row.get("result", row) for row in json_lines(out.glob("out.jsonl")))
    return len({row.get("item_id") for row in rows if row.get("success")})


if __name__ == "__main__":
    drive(generate, count)
