"""The script that people write: the openai SDK, a semaphore, `gather`, a line appended for each answer.

A request that fails after the SDK's own two retries is left out, and the others go on. It has no rate limit.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from driving import KEY, MODEL, SAMPLING, Job, drive, json_lines


def generate(job: Job) -> None:
    from openai import AsyncOpenAI, OpenAIError  # noqa: PLC0415

    async def run() -> None:
        semaphore = asyncio.Semaphore(job.concurrency)
        timeout = {} if job.timeout_s is None else {"timeout": job.timeout_s}
        async with AsyncOpenAI(api_key=KEY, base_url=job.base_url, **timeout) as client:
            with (job.out / "out.jsonl").open("a") as out:

                async def ask(index: int, prompt: str) -> None:
                    async with semaphore:
                        try:
                            answer = await client.completions.create(model=MODEL, prompt=prompt, **SAMPLING)
                        except OpenAIError:
                            return
                    row = {"index": index, "prompt": prompt, "text": answer.choices[0].text}
                    out.write(json.dumps(row) + "\n")
                    out.flush()

                await asyncio.gather(*(ask(index, prompt) for index, prompt in enumerate(job.prompts())))

    asyncio.run(run())


def count(out: Path) -> int:
    return len({row["index"] for row in json_lines(out.glob("out.jsonl"))})


if __name__ == "__main__":
    drive(generate, count)
