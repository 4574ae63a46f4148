"""data-designer: one LLM text column over a seed table of prompts, `create` with its artifacts in the folder.

Telemetry, metrics, the health check and the early shutdown are off. It has no rate limit: it adapts to 429s. Rows
count when they are in a parquet file of the dataset; it writes one a row group of `ROW_GROUP`.
"""

from __future__ import annotations

from pathlib import Path

from driving import KEY, MODEL, SAMPLING, Job, drive

ROW_GROUP = 100  # rows a file: its default of 1,000 would hold a run of 1,000 rows back until its end


def generate(job: Job) -> None:
    import data_designer.config as dd  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from data_designer.interface import DataDesigner  # noqa: PLC0415

    provider = dd.ModelProvider(name="bench", endpoint=job.base_url, provider_type="openai", api_key=KEY)
    parameters = dd.ChatCompletionInferenceParams(
        temperature=float(SAMPLING["temperature"]),
        top_p=float(SAMPLING["top_p"]),
        max_tokens=SAMPLING["max_tokens"],
        max_parallel_requests=job.concurrency,
        timeout=None if job.timeout_s is None else int(job.timeout_s),
    )
    model = dd.ModelConfig(
        alias="bench", model=MODEL, provider="bench", inference_parameters=parameters, skip_health_check=True
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"question": job.prompts()})))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="bench", prompt="{{ question }}"))
    designer = DataDesigner(artifact_path=job.out, model_providers=[provider])
    designer.set_run_config(dd.RunConfig(disable_early_shutdown=True, otel_metrics_port=None, buffer_size=ROW_GROUP))
    designer.create(builder, num_records=job.rows, dataset_name="bench")


def count(out: Path) -> int:
    import pyarrow.parquet as pq  # noqa: PLC0415

    answered: set[str] = set()
    for path in out.glob("bench*/parquet-files/*.parquet"):
        rows = pq.read_table(path, columns=["question", "answer"]).to_pylist()
        answered |= {row["question"] for row in rows if row["answer"]}
    return len(answered)


if __name__ == "__main__":
    drive(generate, count)
