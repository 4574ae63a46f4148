"""The script that people write: the openai SDK, a semaphore, one `gather`, a line appended for each answer.

    python peer_openai_sdk.py PROMPTS OUT BASE_URL CONCURRENCY

It runs on asyncio's own loop and with the SDK's defaults.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

SAMPLING: dict[str, Any] = {
    "temperature": 1,
    "max_tokens": 500,
    "top_p": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
}


async def main() -> None:
    prompts_path, out_path, base_url, concurrency = sys.argv[1:5]
    prompts = [json.loads(line) for line in Path(prompts_path).read_text().splitlines()]
    semaphore = asyncio.Semaphore(int(concurrency))
    finished: list[float] = []
    start = time.perf_counter()
    async with AsyncOpenAI(api_key="none", base_url=base_url) as client:
        with Path(out_path).open("a") as out:

            async def ask(prompt: str) -> None:
                async with semaphore:
                    answer = await client.completions.create(model="m", prompt=prompt, **SAMPLING)
                row = {"prompt": prompt, "text": answer.choices[0].text, "usage": answer.usage.model_dump()}
                out.write(json.dumps(row) + "\n")
                out.flush()
                finished.append(time.perf_counter())

            await asyncio.gather(*(ask(prompt) for prompt in prompts))
    rate = (len(finished) - 1) / (finished[-1] - finished[0])
    elapsed_s = time.perf_counter() - start
    print(
        json.dumps(
            {"total": len(prompts), "done": len(finished), "failed": 0, "elapsed_s": elapsed_s, "rows_per_s": rate}
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
