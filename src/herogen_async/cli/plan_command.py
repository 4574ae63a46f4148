"""`plan`: what a run would keep, ask and cost, before anything is sent."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from herogen_async.cli.command_help import examples
from herogen_async.cli.options import SERVERS_HELP, shared, takes_settings
from herogen_async.cli.shell import JsonOption, out, print_json, say
from herogen_async.core.options import OUTPUT, as_words

if TYPE_CHECKING:
    from herogen_async.generation.forecast.forecast import Forecast
    from herogen_async.generation.settings import ServerChoice
    from herogen_async.specs.plan import Estimate
    from herogen_async.specs.sources.cells import Cells
    from herogen_async.specs.spec import Spec


def register(app: typer.Typer) -> None:
    """Add this command to `app`."""
    app.command(
        epilog=examples(
            "herogen-async plan heroes.yaml --price 0.4,1.6",
            "herogen-async plan heroes.yaml --show 2",
            "herogen-async plan heroes.yaml superhero",
        )
    )(plan)


@takes_settings(of_a_run=False)
def plan(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="Spec file; default: the built-in one. A RUN alone: what it has left."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Existing run: what would be kept, new and stale."),
    ] = None,
    base_url: Annotated[list[str] | None, shared("base_url", "the run's", help=SERVERS_HELP)] = None,
    endpoint: Annotated[str | None, shared("endpoint", "the spec's")] = None,
    model: Annotated[str | None, shared("model", "the spec's, else the run's")] = None,
    show: Annotated[
        int,
        typer.Option(
            "--show", metavar="N", min=0, help="Also show N prompts as they will be sent.", rich_help_panel=OUTPUT
        ),
    ] = 0,
    json: JsonOption = False,
    **settings: Any,
) -> None:
    """Show what a run would keep, request and cost. Nothing is written or sent."""
    import os

    from herogen_async.generation.endpoint.target import clear_text_line
    from herogen_async.generation.forecast.look_ahead import forecast_of
    from herogen_async.generation.settings import ServerChoice
    from herogen_async.specs.spec.doubts import doubt_lines
    from herogen_async.view.terminal import row_preview_lines

    if run is None and spec is not None and _is_run(spec):
        spec, run = None, spec
    choice = ServerChoice(base_url or None, endpoint, model)
    found = forecast_of(spec, run, choice=choice, settings=settings)
    checked = found.plan.spec
    for line in doubt_lines(checked.attributes, checked.cell_rules):
        say(f"warning: {line}")
    if found.base_url and (clear := clear_text_line(found.base_url, os.environ.get("OPENAI_API_KEY"))):
        say(f"warning: {clear}.")
    step, *others = next_steps(found, spec, choice, settings)
    if json:
        previews = {"previews": [each.as_dict() for each in found.previews(show)]} if show else {}
        print_json({**found.as_dict(), **previews, "next": step, "next_asking_stale": others[0] if others else None})
        return
    for line in plan_lines(found):
        out(line)
    for row in found.rows_previewed(show):
        out("")
        for line in row_preview_lines(row):
            out(line)
    say(f"Next: {step}")
    for other in others:
        say(f"Or, to request the stale ones again: {other}")


def plan_lines(found: Forecast) -> Iterator[str]:
    """The outlook, in words; of several columns in a table, too."""
    from herogen_async.cli.plan_columns import column_tables, column_targets, is_free, price_lines, prompt_notes
    from herogen_async.core.units import counted, in_words, span
    from herogen_async.specs.plan import repeats_in_words
    from herogen_async.specs.source_index.spec_cells import source_notices

    cells, repeats = found.plan.cells, found.plan.repeats
    rows, width = found.plan.rows, found.plan.calls_a_row
    shape = _cells_in_words(cells, found.plan.spec)
    each = f", {repeats:,} answers each" if repeats > 1 else ""
    requests = f" of {width:,} requests, {found.plan.size:,} in all" if width > 1 else ""
    yield f"{found.plan.spec.name}: {shape}{each}: {counted(rows, 'row')}{requests}."
    yield from source_notices(cells)
    yield from repeats_in_words(found.plan.columns, found.plan.repeats)
    yield f"Model: {_target(found)}."
    yield from column_targets(found)
    yield from _wanted_lines(found)
    if (coverage := found.coverage) is not None:
        yield f"Coverage: {coverage.line}."
    limit = found.settings.limit
    if found.settings.shard is not None:
        yield f"Shard {found.settings.shard}: {span(found.rows_asked)} of {rows:,}:"
    elif limit is not None and limit < (rows if found.wanted is None else found.wanted.rows):
        yield f"Within the limit, the first {counted(limit, 'row')}:"
    if found.changes:
        yield f"Changed: {in_words(found.changes)}."
    yield from column_tables(found)
    kept = found.kept
    counts = None if kept is None else found.calls if found.columns else kept.all_calls
    if counts is not None:
        yield f"Kept: {counted(counts.kept, 'answer')}, at no cost."
    yield f"New: {_share(found, found.new)}."
    if found.stale.requests:
        yield f"Stale ({_why_stale(found)}): {_share(found, found.stale)}."
    if counts is not None and counts.failed:
        failed = found.rows_failed if found.columns else counts.failed
        yield f"Failed: {counted(failed, 'row')}; only `herogen-async retry` requests them again."
    yield from prompt_notes(found)
    if kept is not None and kept.found.unused:
        yield f"Unused, but kept in the journal: {counted(kept.found.unused, 'row')} of removed cells."
    if len({each.price for each in found.columns}) > 1:
        yield from price_lines(found)
    elif not is_free(found):
        yield _price(found)


def _cells_in_words(cells: Cells, spec: Spec) -> str:
    """How many cells there are, and how that comes about where it can be said in a few words."""
    from herogen_async.core.units import counted
    from herogen_async.specs.sources.cells import cells_from, excluded_cells, is_product, records_of

    rules = spec.cell_rules
    own = cells_from(spec.attributes, rules=rules.of_grid)
    axes = [f"{len(values):,} {name}" for name, values in own.facets.items()]
    size = own.size
    if (records := records_of(cells)) is not None:
        axes.insert(0, counted(records.records.size, "record"))
        size *= records.records.size
    words, product = counted(size, "cell"), " x ".join(axes)
    if is_product(own):
        words = f"{product} = {words}"
    elif rules.exclude and not rules.branches:
        words = f"{product}, {excluded_cells(spec.attributes, rules) * (size // own.size):,} of them excluded = {words}"
    elif records is not None:
        words = f"{axes[0]} x {counted(own.size, 'cell')} of the attributes = {words}"
    if rules.cover is not None:
        return f"{words}, {cells.size:,} of them for every {'pair' if rules.cover == 2 else 'triple'} of values"
    if rules.sample is None and cells.size == size:
        return words
    return f"{words}, {cells.size:,} of them {'in the shares of the weights' if rules.sample is None else 'sampled'}"


def _wanted_lines(found: Forecast) -> Iterator[str]:
    """How many accepted rows are wanted, what there is of them, and how many rows more that may take."""
    from herogen_async.core.units import counted

    wanted = found.wanted
    if wanted is None:
        return
    head = f"Wanted: {counted(wanted.wanted, 'accepted row')} of at most {wanted.at_most:,}"
    if wanted.share is None:
        yield f"{head}. How many rows that takes is not known yet; the estimates are for all {wanted.likely:,}."
        return
    seen = f"{wanted.accepted:,} so far; {wanted.share:.1%} of {counted(wanted.ended, 'row')} were accepted"
    if wanted.is_met or wanted.is_short:
        end = "These are the rows that count." if wanted.is_met else "No row is left to request: raise `at_most`."
        yield f"{head}: {seen}. {end}"
        return
    yield (
        f"{head}: {seen}. About {counted(wanted.likely, 'row')} more, with 95 % certainty {wanted.fewest:,} to "
        f"{wanted.most:,}."
    )


def _why_stale(found: Forecast) -> str:
    why = "earlier prompt, model or sampling"
    if found.columns:
        why += ", or made from such answers"
    asked = found.calls.stale_asked
    if not asked:
        return f"{why}; requested again only with --regenerate-stale"
    part = f"{asked:,} of them " if found.may_keep_stale else ""
    return f"{why}; {part}requested again"


def _target(found: Forecast) -> str:
    if found.base_url:
        from herogen_async.core.units import in_words

        served = "they serve" if found.other_urls else "it serves"
        return f"{found.model or f'the one model {served}'}, at {in_words((found.base_url, *found.other_urls))}"
    if found.needs_server:
        return f"{found.model}, its server not yet chosen" if found.model else "not yet chosen"
    return f"{found.model}, on this machine"


def _share(found: Forecast, estimated: Estimate) -> str:
    """`4 requests, about 44 prompt tokens, at most 200 answer tokens, about 12.0 s, at most 0.01 USD`."""
    from herogen_async.core.units import counted

    if not estimated.requests:
        return "nothing"
    answers = _both(estimated.answer_tokens, estimated.answer_tokens_most, lambda tokens: f"{tokens:,}")
    parts = [counted(estimated.requests, "request"), f"about {estimated.prompt_tokens:,} prompt tokens"]
    parts.append(f"{answers} answer tokens" if answers else "no limit on answer tokens")
    at_most = "at most " if any(each.is_at_most for each in found.columns) else ""
    return at_most + ", ".join([*parts, _time(estimated), _cost(found, estimated)])


def _time(estimated: Estimate) -> str:
    from herogen_async.core.units import duration

    if estimated.at_least_s is None:
        return "time unknown"
    return f"{'about' if estimated.time_is_known else 'at least'} {duration(estimated.at_least_s)}"


def _cost(found: Forecast, estimated: Estimate) -> str:
    from herogen_async.cli.plan_columns import is_free
    from herogen_async.generation.limits import in_usd

    return _both(*found.usd(estimated), in_usd) or ("no cost" if is_free(found) else "cost unknown")


def _both(likely: Any, most: Any, shown: Any) -> str:
    """What it was so far, and the most there can be; empty where neither is known."""
    if likely is None:
        return "" if most is None else f"at most {shown(most)}"
    return f"about {shown(likely)}" + ("" if most is None else f" (at most {shown(most)})")


def _price(found: Forecast) -> str:
    if found.price is None:
        return "Price: unknown; set it with --price IN,OUT in USD per million prompt and answer tokens."
    rates = f"{found.price.input_usd:.10g} / {found.price.output_usd:.10g} USD per million prompt / answer tokens"
    return f"Price: {rates} ({found.price.source})."


def next_steps(found: Forecast, spec: str | None, choice: ServerChoice, settings: Mapping[str, Any]) -> list[str]:
    """The command that does what was planned; where stale answers would stay, also the one that asks them again.

    `settings` are those that were given.
    """
    from herogen_async.generation.settings import RUN_SETTINGS

    of_folder = found.folder is not None and spec is None  # planned with its settings, which `run` would not take up
    held = found.settings.given() if of_folder else settings  # `settings` are in those of a folder
    asking = [*_run_command(found, spec), *as_words(RUN_SETTINGS, held), *found.flags]
    step = asking
    if found.folder is not None and spec is None and not found.changes and choice.base_url is None:
        step = ["herogen-async", "resume", found.folder.argument, *as_words(RUN_SETTINGS, settings)]
    steps = [step]
    if found.stale.requests and found.may_keep_stale:
        steps.append([*asking, "--regenerate-stale"])
    return [" ".join(words) for words in steps]


def _run_command(found: Forecast, spec: str | None) -> list[str]:
    """`run` with all that it would not find out by itself."""
    from herogen_async.generation.settings import SERVER_OPTIONS
    from herogen_async.specs.spec import Spec

    words = ["herogen-async", "run"]
    if spec is not None:
        words.append(shlex.quote(spec))
    elif found.folder is not None and found.plan.spec != Spec.builtin():
        words.append("SPEC")  # a run doesn't know the file that its spec came from
    if found.folder is not None:
        words += ["--run", found.folder.argument]
    if found.needs_server:
        words += ["--base-url", "URL"]
    return [*words, *as_words(SERVER_OPTIONS, asdict(found.choice))]


def _is_run(text: str) -> bool:
    """Whether the one argument is no spec but a run."""
    from herogen_async.core.errors import InputError
    from herogen_async.generation.run_folder import find_run

    if os.path.isfile(text):  # noqa: PTH113 - it raises for no name
        return False
    try:
        folder = find_run(text)
    except InputError:
        return False
    return folder.is_run
