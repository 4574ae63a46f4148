"""batchllm-ai: `BatchProcessor.process_file` from JSON lines to JSON lines, with its checkpoint on.

It has no rate limit of its own: it retries. Rows count when they are in the checkpoint, which it appends to.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from driving import KEY, MODEL, Job, drive, json_lines


def generate(job: Job) -> None:
    from batchllm import BatchConfig, BatchProcessor  # noqa: PLC0415

    timeout = {} if job.timeout_s is None else {"timeout": job.timeout_s}
    asked = job.out / "in.jsonl"
    asked.write_text("".join(json.dumps({"input": prompt}) + "\n" for prompt in job.prompts()))
    config = BatchConfig(
        model=MODEL,
        max_concurrent=job.concurrency,
        max_tokens=500,
        temperature=1,
        api_key=KEY,
        base_url=job.base_url,
        **timeout,
    )
    run = BatchProcessor(config).process_file(asked, job.out / "out.jsonl", checkpoint_path=job.out / "checkpoint")
    asyncio.run(run)


def count(out: Path) -> int:
    return len({row["index"] for row in json_lines(out.glob("checkpoint")) if row.get("output")})


if __name__ == "__main__":
    drive(generate, count)
