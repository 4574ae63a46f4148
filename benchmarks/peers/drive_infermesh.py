"""infermesh: `LMClient.generate_batch` with a line appended in `on_result`, as its README shows for long runs.

With `--rpm` its bucket holds one request, instead of its default, which a limit by the second would refuse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driving import KEY, MODEL, SAMPLING, Job, drive, json_lines


def generate(job: Job) -> None:
    from infermesh import LMClient  # noqa: PLC0415

    limit = {} if job.rpm is None else {"rpm": int(job.rpm), "max_request_burst": 1}
    with (
        (job.out / "out.jsonl").open("a") as out,
        LMClient(
            model=f"hosted_vllm/{MODEL}",
            api_base=job.base_url,
            api_key=KEY,
            max_parallel_requests=job.concurrency,
            timeout=job.timeout_s,
            default_request_kwargs=SAMPLING,
            **limit,
        ) as client,
    ):

        def save(index: int, result: Any, error: Any) -> None:
            answer = {"error": str(error)} if error is not None else {"output_text": result.output_text}
            out.write(json.dumps({"index": index, **answer}) + "\n")
            out.flush()

        client.generate_batch(job.prompts(), on_result=save)


def count(out: Path) -> int:
    return len({row["index"] for row in json_lines(out.glob("out.jsonl")) if row.get("output_text")})


if __name__ == "__main__":
    drive(generate, count)
