"""inspect_ai: `eval` of a task with one `generate()` step and no scorer, its log as the result.

The live view's database and its control socket are off, and so is its display. It has no rate limit: with `--rpm` its
own answer to 429s is on (adaptive connections, up to 64); without, 64 connections are fixed.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from driving import KEY, MODEL, SAMPLING, Job, drive


def generate(job: Job) -> None:
    from inspect_ai import Task, eval  # noqa: A004, PLC0415
    from inspect_ai.dataset import MemoryDataset, Sample  # noqa: PLC0415
    from inspect_ai.model import get_model  # noqa: PLC0415
    from inspect_ai.solver import generate as generate_step  # noqa: PLC0415

    connections = {"max_connections": job.concurrency} if job.rpm is None else {"adaptive_connections": job.concurrency}
    timeout = {} if job.timeout_s is None else {"attempt_timeout": int(job.timeout_s)}
    samples = [Sample(id=index + 1, input=prompt) for index, prompt in enumerate(job.prompts())]
    task = Task(dataset=MemoryDataset(samples), solver=[generate_step()], name="bench")
    eval(
        task,
        model=get_model(f"openai-api/bench/{MODEL}", base_url=job.base_url, api_key=KEY),
        log_dir=str(job.out),
        log_format="eval",
        log_realtime=False,
        log_model_api=False,
        ctl_server=False,
        display="none",
        max_samples=job.concurrency,
        fail_on_error=False,
        score=False,
        **SAMPLING,
        **connections,
        **timeout,
    )


def count(out: Path) -> int:
    """Samples with an answer, in whole logs only: one without its directory at the end can't be read."""
    import zipfile_zstd  # noqa: F401, PLC0415 - teaches zipfile the compression of its logs

    answered = set()
    for path in out.glob("*.eval"):
        try:
            with zipfile.ZipFile(path) as log:
                for name in log.namelist():
                    if name.startswith("samples/"):
                        sample = json.loads(log.read(name))
                        if sample.get("output", {}).get("choices") and not sample.get("error"):
                            answered.add(sample["id"])
        except zipfile.BadZipFile:
            continue
    return len(answered)


if __name__ == "__main__":
    drive(generate, count)
