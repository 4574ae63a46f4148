"""`export` and `assemble`: answers to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.shell import JsonOption, RunArgument, as_argument, out, print_json, say
from herogen_async.core.options import OUTPUT


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(
        epilog=examples(
            "herogen-async export superhero --format csv --out heroes.csv",
            "herogen-async export superhero --format jsonl --out -",
        )
    )(export)
    app.command(
        epilog=examples(
            "herogen-async assemble superhero --open",
            "herogen-async assemble superhero --format messages --split 0.1 --drop duplicate,refused",
        )
    )(assemble)


def export(
    run: RunArgument,
    file_format: Annotated[str, typer.Option("--format", metavar="csv|jsonl|parquet", help="Output format.")] = "csv",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Output file; - for standard output.",
            show_default="RUN/dataset/rows.FORMAT",
        ),
    ] = None,
    raw_csv: Annotated[
        bool, typer.Option("--raw-csv", help="Do not guard cells that a spreadsheet would run as formulas.")
    ] = False,
    details: Annotated[
        bool,
        typer.Option("--details", help="Add each column's prompt, finish reason, model, request id and latency."),
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Include incomplete rows of several columns, with what is missing.")
    ] = False,
    marks: Annotated[
        bool, typer.Option("--marks", help="Add what was marked on the page: verdict, score, note, edit.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write all answers as one table, in grid order."""
    from herogen_async.core.errors import InputError
    from herogen_async.data import dataset

    to_stdout = str(out_file) == "-"
    if json and to_stdout:
        raise InputError("--json and --out - both write to standard output", fix="remove one of them")
    written = dataset.export(
        run, format=file_format, out=out_file, raw_csv=raw_csv, details=details, partial=partial, marks=marks
    )
    if json:
        print_json({"file": str(written.file), "rows": written.rows})
        return
    if to_stdout:
        say(f"{written.rows:,} rows")
        return
    out(f"{written.rows:,} rows -> {written.file}")
    say(f"Next: herogen-async assemble {as_argument(run)}")


def assemble(
    run: RunArgument,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What your trainer reads: prompt-completion, messages, conversational, alpaca, sharegpt, text, dpo, "
            "kto, prompts or parquet.",
        ),
    ] = "prompt-completion",
    split: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of the cells for validation, e.g. 0.1: each attribute's values in proportion, all answers of a "
            "cell on one side.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the split: the same seed chooses the same cells.")
    ] = 0,
    truncated: Annotated[
        str,
        typer.Option(
            metavar="drop|trim|keep",
            help="Truncated answers: drop them, trim them to their last full sentence, or keep them.",
        ),
    ] = "drop",
    reasoning: Annotated[
        str,
        typer.Option(
            metavar="drop|think|field",
            help="A model's thoughts: drop them, put them in front of the answer in <think> tags, or in a field of "
            "their own.",
        ),
    ] = "drop",
    drop: Annotated[
        str,
        typer.Option(
            metavar="KIND,...",
            help="Answers to leave out: refused, duplicate, near-duplicate, looping, language, length (outliers).",
        ),
    ] = "",
    ranking: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Scores for dpo and kto, higher is better: CSV or JSON Lines with key or index, and score. "
            "Default: what the spec's best_of or keep says.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column to train on; A|B: the first of them that a row has.",
            show_default="the last one",
        ),
    ] = None,
    ask: Annotated[
        str,
        typer.Option(
            metavar="sub_prompt|prompt", help="The question of an example: the short one, or the prompt as it was sent."
        ),
    ] = "sub_prompt",
    system: Annotated[
        str,
        typer.Option(
            metavar="none|keep|TEXT",
            help="The system text of an example, in formats of messages: none, the one that was sent, or this text.",
        ),
    ] = "none",
    marks: Annotated[
        bool,
        typer.Option(
            "--marks", help="Use what was marked on the page: leave out bad rows, take edits, rank for dpo and kto."
        ),
    ] = False,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Output folder.", show_default="RUN/dataset or RUN/dataset/FORMAT"),
    ] = None,
    open_report: Annotated[
        bool, typer.Option("--open", help="Open the quality report in the browser.", rich_help_panel=OUTPUT)
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a fine-tuning data set from a run. With quality checks, a card and starter configs for trainers."""
    from herogen_async.cli.browser import open_page
    from herogen_async.cli.spinner import waiting
    from herogen_async.data import dataset
    from herogen_async.view.terminal.sanitize import one_line

    with waiting("assembling"):
        assembled = dataset.assemble(
            run,
            format=file_format,
            split=split,
            seed=seed,
            truncated=truncated,
            reasoning=reasoning,
            drop=[kind for word in drop.split(",") if (kind := word.strip())],
            ranking=ranking,
            column=column,
            ask=ask,
            system=system,
            marks=marks,
            out=out_folder,
        )
    if not json:
        for line in assembled.lines():
            out(one_line(line))
    if open_report and not open_page(assembled.report):
        say("No browser found here: open the report on a machine that has one.")
    if json:
        print_json(assembled.as_dict())
        return
    say(f"Next: {assembled.step}")
