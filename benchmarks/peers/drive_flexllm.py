"""flexllm: `chat_batch_iter(output_jsonl=...)`, its persistent batch call. Its limiter counts by the second."""

from __future__ import annotations

import asyncio
from pathlib import Path

from driving import KEY, MODEL, Job, drive, json_lines


def generate(job: Job) -> None:
    from flexllm import LLMClient  # noqa: PLC0415

    from peer_flexllm import generate as ask_all  # noqa: PLC0415

    timeout = {} if job.timeout_s is None else {"timeout": job.timeout_s}

    async def run() -> None:
        async with LLMClient(
            base_url=job.base_url,
            model=MODEL,
            api_key=KEY,
            concurrency_limit=job.concurrency,
            max_qps=0 if job.rpm is None else job.rpm / 60,
            **timeout,
        ) as client:
            await ask_all(client, job.prompts(), job.out / "out.jsonl", show_progress=False)

    asyncio.run(run())


def count(out: Path) -> int:
    return len({row.get("index") for row in json_lines(out.glob("out.jsonl")) if row.get("output")})


if __name__ == "__main__":
    drive(generate, count)
