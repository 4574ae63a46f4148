"""bespokelabs-curator: an `LLM` with its openai backend over a list of rows, in a working folder.

Telemetry and the rich display are off. It sends two requests of its own first (for limits and for structured output).
Rows count when they are in its responses file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from driving import KEY, MODEL, SAMPLING, UNLIMITED_RPM, UNLIMITED_TPM, Job, drive, json_lines


def generate(job: Job) -> None:
    os.environ |= {"CURATOR_DISABLE_RICH_DISPLAY": "1", "CURATOR_CACHE_DIR": str(job.out / "cache")}
    import litellm  # noqa: PLC0415
    from bespokelabs import curator  # noqa: PLC0415

    tokenizers = Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(tokenizers))  # the encoding from the package, not the network

    class Prompter(curator.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, Any]) -> str:
            return str(row["prompt"])

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"prompt": row["prompt"], "text": response}

    timeout = {} if job.timeout_s is None else {"request_timeout": int(job.timeout_s)}
    prompter = Prompter(
        model_name=MODEL,
        backend="openai",
        generation_params=SAMPLING,
        backend_params={
            "base_url": job.base_url,
            "api_key": KEY,
            "max_concurrent_requests": job.concurrency,
            "max_requests_per_minute": int(job.rpm or UNLIMITED_RPM),
            "max_tokens_per_minute": UNLIMITED_TPM,
            "require_all_responses": False,
            **timeout,
        },
    )
    prompter([{"prompt": prompt} for prompt in job.prompts()], working_dir=str(job.out / "work"))


def count(out: Path) -> int:
    rows = json_lines(out.glob("work/*/responses_*.jsonl"))
    return len({row["generic_request"]["original_row_idx"] for row in rows if row.get("response_message")})


if __name__ == "__main__":
    drive(generate, count)
