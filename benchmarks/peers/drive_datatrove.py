"""datatrove: its `InferenceRunner` against an endpoint, with local checkpoints, to uncompressed JSON lines.

For a host called localhost it has a shortcut of its own: a new connection a request, and a job that ends at the first
500 or 429. So the host is spelled 127.1 here, and it takes its OpenAI client, as for any real endpoint. Its readiness
probe doesn't fit that client's base URL and is left out. It has no rate limit. Rows count when they are in a
checkpoint or in its replay database.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from driving import KEY, MODEL, SAMPLING, Job, drive, json_lines


def generate(job: Job) -> None:
    from datatrove.data import Document  # noqa: PLC0415
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner  # noqa: PLC0415
    from datatrove.pipeline.inference.servers import EndpointServer  # noqa: PLC0415
    from datatrove.pipeline.writers import JsonlWriter  # noqa: PLC0415

    class Endpoint(EndpointServer):  # type: ignore[misc]
        async def is_ready(self) -> bool:
            return True

    class Runner(InferenceRunner):  # type: ignore[misc]
        def _init_server(self, rank: int) -> Any:
            return Endpoint(self.config, rank)

    async def rollout(document: Any, ask: Any) -> Any:
        return await ask({"messages": [{"role": "user", "content": document.text}]})

    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path=MODEL,
        endpoint_url=job.base_url.replace("127.0.0.1", "127.1"),
        api_key=KEY,
        default_generation_params=dict(SAMPLING),
        max_concurrent_generations=job.concurrency,
        request_timeout=job.timeout_s,
    )
    writer = JsonlWriter(str(job.out / "out"), output_filename="${rank}_${chunk_index}.jsonl", compression=None)
    runner = Runner(rollout, config, writer, checkpoints_local_dir=str(job.out / "checkpoints"))
    runner.run([Document(text=prompt, id=str(index)) for index, prompt in enumerate(job.prompts())])


def count(out: Path) -> int:
    paths = [*out.glob("checkpoints/*/chunk_*.jsonl"), *out.glob("out/*.jsonl")]
    answered = {row["id"] for row in json_lines(paths) if (row.get("metadata") or {}).get("rollout_results")}
    for path in out.glob("checkpoints/*/replay.sqlite3"):
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT DISTINCT doc_id FROM request_cache WHERE result IS NOT NULL")
            answered |= {row[0] for row in rows}
    return len(answered)


if __name__ == "__main__":
    drive(generate, count)
