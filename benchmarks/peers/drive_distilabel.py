"""distilabel: a pipeline of `LoadDataFromDicts` and `TextGeneration` with its OpenAI model, in batches of 64.

A batch is sent at once and the next one waits for it: that is how it keeps 64 in flight. It has no rate limit: the
SDK's retries are its answer to 429s (its default of 6). The Parquet files that it writes while running are the rows.
"""

from __future__ import annotations

from pathlib import Path

from driving import KEY, MODEL, SAMPLING, Job, drive


def generate(job: Job) -> None:
    from distilabel.models import OpenAILLM  # noqa: PLC0415
    from distilabel.pipeline import Pipeline  # noqa: PLC0415
    from distilabel.steps import LoadDataFromDicts  # noqa: PLC0415
    from distilabel.steps.tasks import TextGeneration  # noqa: PLC0415

    sampling = {"max_new_tokens": SAMPLING["max_tokens"], "temperature": SAMPLING["temperature"], "top_p": 1.0}
    timeout = {} if job.timeout_s is None else {"timeout": int(job.timeout_s)}
    with Pipeline("bench", cache_dir=job.out / "cache") as pipeline:
        rows = [{"instruction": prompt} for prompt in job.prompts()]
        load = LoadDataFromDicts(data=rows, batch_size=job.concurrency)
        model = OpenAILLM(model=MODEL, base_url=job.base_url, api_key=KEY, generation_kwargs=sampling, **timeout)
        ask = TextGeneration(llm=model, input_batch_size=job.concurrency, add_raw_input=False, add_raw_output=False)
        load >> ask
    pipeline.run()


def count(out: Path) -> int:
    import pyarrow.parquet as pq  # noqa: PLC0415

    answered: set[str] = set()
    for path in out.glob("cache/**/*.parquet"):
        table = pq.read_table(path)
        if {"instruction", "generation"} <= set(table.column_names):
            rows = table.select(["instruction", "generation"]).to_pylist()
            answered |= {row["instruction"] for row in rows if row["generation"]}
    return len(answered)


if __name__ == "__main__":
    drive(generate, count)
