"""`simulate`: a server for trying out clients and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import shared
from herogen_async.cli.shell import JsonOption, out, print_json, say

if TYPE_CHECKING:
    from herogen_async.lab.simulator import Policy, Stats

_EPILOG = examples(
    "herogen-async simulate --port 8000 --rpm 3000 --latency-ms 800 --fault 500=0.01",
    "herogen-async simulate --port 8000 --slots 16",
    remark="It calls the tools that a request offers, in half of the answers. It also takes files and fine-tuning "
    "jobs. GET /stats shows its counters, POST /stats/reset resets them, "
    'POST /control with {"slots": 16} changes the slots.',
)


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(epilog=_EPILOG)(simulate)


def simulate(
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free port.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; the default serves this machine only.")] = (
        "127.0.0.1"
    ),
    rpm: Annotated[float | None, shared("rpm")] = None,
    tpm: Annotated[float | None, shared("tpm")] = None,
    rpd: Annotated[float | None, shared("rpd")] = None,
    enforce: Annotated[str, shared("enforce", show_default=True)] = "bucket-minute",
    headers: Annotated[str, shared("headers", show_default=True)] = "openai",
    latency_ms: Annotated[
        float, shared("latency_ms", help="Median latency of an answer in milliseconds.", show_default=True)
    ] = 0.0,
    latency_sigma: Annotated[
        float, typer.Option(help="Standard deviation of the logarithm of the latency; 0: none.")
    ] = 0.0,
    ms_per_token: Annotated[float, typer.Option(help="Additional milliseconds per answer token.")] = 0.0,
    slots: Annotated[int | None, shared("slots", "unlimited")] = None,
    jitter_ms: Annotated[
        float, typer.Option(help="Largest random delay before a request arrives, in milliseconds.")
    ] = 0.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help="Share of requests that fail in this way (repeatable): 500, slow_down, overloaded, "
            "insufficient_quota, reset, cut, hang, slow_body, html, broken_json, wrong_shape, no_usage, broken_form, "
            "near_copy.",
        ),
    ] = None,
    reasoning: Annotated[
        str,
        typer.Option(
            metavar="PLACE",
            help="Where answers have the model's thoughts: none, reasoning, reasoning_content (fields of the message), "
            "think (in tags before the text), closing (the closing tag alone).",
        ),
    ] = "none",
    queue_s: Annotated[
        float, typer.Option(help="Seconds a fine-tuning job is validated and queued before it runs.")
    ] = 0.2,
    train_s: Annotated[float, typer.Option(help="Seconds a fine-tuning job runs.")] = 1.0,
    accepts: Annotated[
        str,
        typer.Option(metavar="ROWS", help="Accepted training rows: messages, prompt-completion, both."),
    ] = "both",
    job_fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=N]",
            help="Fault of uploads and jobs, the first N times or every time (repeatable): "
            "upload_unavailable, upload_500, upload_reset, upload_slow, not_available, create_unavailable, "
            "create_500, create_reset, create_slow, bad_file, training_fails. A 500, a reset and a slow answer come "
            "after the file is stored or the job has started.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of answers and faults.")] = 0,
    model: Annotated[str | None, typer.Option(help="The only model served.", show_default="any model")] = None,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", help="Also end when stdin ends, for a program that starts it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Serve a simulated OpenAI-compatible API. With limits, latencies, faults and fine-tuning jobs, until Ctrl-C."""
    from herogen_async.lab.simulator import Latency, Policy, TuningPolicy

    policy = Policy(
        rpm=rpm,
        tpm=tpm,
        rpd=rpd,
        enforce=enforce,
        headers=headers,
        latency=Latency(latency_ms, latency_sigma, ms_per_token),
        slots=slots,
        jitter_ms=jitter_ms,
        faults=_faults(fault or []),
        seed=seed,
        reasoning=reasoning,
        tuning=TuningPolicy(queue_s=queue_s, train_s=train_s, accepts=accepts, faults=_job_faults(job_fault or [])),
    )
    _serve(policy, json=json, host=host, port=port, model=model, until_eof=until_eof)


def _faults(given: list[str]) -> dict[str, float]:
    from herogen_async.core.errors import InputError

    shares: dict[str, float] = {}
    for text in given:
        name, _, share = text.partition("=")
        try:
            shares[name] = shares.get(name, 0.0) + float(share)
        except ValueError:
            raise InputError(f"--fault {text!r} is not NAME=SHARE", fix="e.g. --fault 500=0.01") from None
    return shares


def _job_faults(given: list[str]) -> dict[str, int | None]:
    from herogen_async.core.errors import InputError

    counts: dict[str, int | None] = {}
    for text in given:
        name, equals, count = text.partition("=")
        if equals and not count.isdecimal():
            raise InputError(f"--job-fault {text!r} is neither NAME nor NAME=N", fix="e.g. --job-fault create_reset=1")
        counts[name] = int(count) if equals else None
    return counts


def _serve(policy: Policy, *, json: bool, **where: Any) -> None:
    """Serve until a signal; the URL is the first line, the statistics are the last."""
    from herogen_async.lab.simulator import serve_until_signal

    def started(url: str) -> None:
        if json:
            print_json({"url": url})
        else:
            out(url)
        say("Serving until Ctrl-C; counters at /stats.")
        say(f"Next: herogen-async run --base-url {url}")

    url, stats = serve_until_signal(policy, started, **where)
    if json:
        print_json({"url": url, "stats": stats})
    else:
        out(_summary(stats))


def _summary(stats: Stats) -> str:
    from herogen_async.core.units import count

    parts = [f"{count(stats['requests'])} requests", f"{count(stats['answered'])} answered"]
    parts += [f"{count(number)} refused for {name}" for name, number in stats["refused"].items()]
    parts += [f"{count(number)} {name}" for name, number in stats["faults"].items()]
    parts += [f"{count(stats['files_created'])} files"] if stats["files_created"] else []
    parts += [f"{count(stats['jobs_created'])} jobs"] if stats["jobs_created"] else []
    parts += [f"{count(number)} {name}" for name, number in stats["job_faults"].items()]
    parts += [f"{count(stats['doubles'])} prompts answered more than once"] if stats["doubles"] else []
    return ", ".join([*parts, f"at most {count(stats['in_flight_peak'])} in flight"])
