"""flexllm's own batch call over a file of prompts, with its results persisted as it recommends: run by its own Python.

    python peer_flexllm.py PROMPTS OUT BASE_URL CONCURRENCY [--defaults]

It speaks the chat route only. `chat_batch_iter(output_jsonl=...)` is its documented persistent batch call, and
`chat_batch` is the same code plus a list of all results. Its progress bar is off, and so is its limiter of 1,000
requests a second, which is on unless told otherwise: `--defaults` leaves both as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

from flexllm import LLMClient

SAMPLING = {"temperature": 1, "max_tokens": 500, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}


async def generate(client: Any, prompts: list[str], out: Path, *, show_progress: bool) -> dict[str, float]:
    """Ask all prompts; counts and times, by this process' clock."""
    conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
    answers = client.chat_batch_iter(conversations, output_jsonl=str(out), show_progress=show_progress, **SAMPLING)
    start = first = last = time.perf_counter()
    done = total = 0
    async for _, result in answers:
        last = time.perf_counter()
        first = last if not total else first
        total += 1
        done += result.ok
    rate = (total - 1) / (last - first) if last > first else 0.0
    elapsed_s = time.perf_counter() - start
    return {"total": total, "done": done, "failed": total - done, "elapsed_s": elapsed_s, "rows_per_s": rate}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("concurrency", type=int)
    parser.add_argument("--defaults", action="store_true", help="its limiter and its progress bar stay on")
    options = parser.parse_args()
    prompts = [json.loads(line) for line in options.prompts.read_text().splitlines()]
    tuned = {} if options.defaults else {"max_qps": 0}
    async with LLMClient(
        base_url=options.base_url, model="m", api_key="none", concurrency_limit=options.concurrency, **tuned
    ) as client:
        print(json.dumps(await generate(client, prompts, options.out, show_progress=options.defaults)))


if __name__ == "__main__":
    asyncio.run(main())
