"""What has changed between two manifests of a run, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from herogen_async.core.likeness import as_seen
from herogen_async.core.units import counted
from herogen_async.generation.run_folder import Manifest
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import Plan
from herogen_async.specs.sources.cells import excluded_cells
from herogen_async.specs.spec import RecordSource, Spec, Template

_COVERED = {2: "pair of values", 3: "triple of values"}


def differences(held: Manifest, fresh: Manifest) -> list[str]:
    """What of the questions has changed, in words."""
    found: list[str] = []
    if held.asks_as(fresh):
        return _other_names(held, fresh)
    before, after = held.lineage().plan, fresh.lineage().plan
    from herogen_async.specs.plan.renaming import attribute_renaming  # noqa: PLC0415 - few runs are changed

    names = attribute_renaming(before, after)
    if held.grid_fingerprint != fresh.grid_fingerprint:
        found += _grid_differences(before.spec, after.spec, names)
    if held.generation_fingerprint != fresh.generation_fingerprint:
        of_generation = _generation_differences(held, fresh, before, after, names)
        found += of_generation if of_generation or names else ["the generation fingerprint"]
    return found


def _other_names(held: Manifest, fresh: Manifest) -> list[str]:
    """Columns that are called otherwise, where all is asked as before."""
    if list(held.spec.get("columns") or ()) == list(fresh.spec.get("columns") or ()):
        return []
    now = {each.fingerprint: each.name for each in fresh.lineage().plan.columns}
    then = {each.fingerprint: each.name for each in held.lineage().plan.columns}
    return [f"the column {was!r} (now called {name!r})" for asked, was in then.items() if (name := now[asked]) != was]


def _grid_differences(held: Spec, fresh: Spec, names: Mapping[str, str]) -> list[str]:
    old = {names.get(name, name): values for name, values in held.attributes.items()}
    new = fresh.attributes
    words = [f"{was!r} is now called {now!r}" for was, now in names.items()]
    words += [f"{name!r} was added" for name in new if name not in old]
    words += [f"{name!r} was removed" for name in old if name not in new]
    for name in new:
        before, after = set(old.get(name, ())), set(new[name])
        if name in old and before != after:
            counts = {"more": len(after - before), "fewer": len(before - after)}
            has = " and ".join(f"{many} {word}" for word, many in counts.items() if many)
            earlier = set(map(as_seen, before - after))
            respelt = sum(as_seen(value) in earlier for value in after - before)
            words.append(f"{name!r} has {has}" + (f", {respelt} of which look the same as before" if respelt else ""))
    is_order = old != new or list(old) != list(new)
    found = list(_source_differences(held.source, fresh.source))
    found += [f"the attributes ({', '.join(words) or 'their order'})"] if words or is_order else []
    found += _rule_differences(held, fresh, names)
    if held.repeats != fresh.repeats:
        found.append(f"the repeats ({held.repeats} to {fresh.repeats})")
    if held.order_seed != fresh.order_seed:
        seeds = held.order_seed, fresh.order_seed
        was, now = ("that of the spec" if seed is None else f"shuffled, seed {seed}" for seed in seeds)
        found.append(f"the order of the cells ({was}, to {now})")
    return found or ["the grid fingerprint"]


def _source_differences(held: RecordSource | None, fresh: RecordSource | None) -> Iterator[str]:
    if held is None or fresh is None:
        if held is not fresh:
            yield f"the source ({'added' if held is None else 'removed'})"
        return
    words = []
    if held.sha256 != fresh.sha256:
        words.append(f"other content of {fresh.title}")
    words += [f"`{name}`" for name in ("where", "limit") if getattr(held, name) != getattr(fresh, name)]
    if words:
        yield f"the source ({', '.join(words)})"


def _rule_differences(held: Spec, fresh: Spec, names: Mapping[str, str]) -> Iterator[str]:
    """What of the rules has changed by which combinations of values are cells."""
    rules = held.cell_rules, fresh.cell_rules
    old, new = rules[0].with_names(names), rules[1]
    for name in fresh.attributes:
        before, after = (each.branches.get(name, ()) for each in (old, new))
        if [each.when for each in before] != [each.when for each in after]:
            yield f"the condition of {name!r}"
    if old.exclude != new.exclude:
        was, now = excluded_cells(held.attributes, rules[0]), excluded_cells(fresh.attributes, rules[1])
        word = "more" if now > was else "fewer"
        yield f"the grid ({counted(abs(now - was), 'cell')} {word} excluded)" if was != now else "the excluded cells"
    for name in fresh.attributes:
        if old.weights.get(name) != new.weights.get(name):
            yield f"the weights of {name!r}"
    if old.cover != new.cover:
        covers = ("all cells" if each.cover is None else f"every {_COVERED[each.cover]}" for each in (old, new))
        yield f"the cover ({' to '.join(covers)})"
    if old.sample != new.sample:
        sizes = ("all cells" if each.sample is None else f"{each.sample:,}" for each in (old, new))
        yield f"the sample ({' to '.join(sizes)})"


def _generation_differences(
    held: Manifest, fresh: Manifest, before: Plan, after: Plan, names: Mapping[str, str]
) -> list[str]:
    if held.spec.get("columns") or fresh.spec.get("columns"):
        return list(_column_differences(before.columns, after.columns, names))
    return list(_differences_of_one(held, fresh, before.columns[0], after.columns[0], names))


def _column_differences(
    before: Sequence[AskedColumn], after: Sequence[AskedColumn], names: Mapping[str, str]
) -> Iterator[str]:
    """Column by column; one that asks the same under another name has not changed but in that."""
    asked = {each.fingerprint: each.name for each in before}
    told = {each.fingerprint for each in after}
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    for name, column in new.items():
        if name in old:
            yield from _differences_of(old[name], column, names)
        elif (was := asked.get(column.fingerprint)) is None:
            yield f"the column {name!r} (added)"
        else:
            yield f"the column {was!r} (now called {name!r})"
    for name, column in old.items():
        if name not in new and column.fingerprint not in told:
            yield f"the column {name!r} (removed)"
    common = [each.name for each in before if each.name in new], [each.name for each in after if each.name in old]
    if common[0] != common[1]:
        yield "the order of the columns"


def _differences_of(old: AskedColumn, new: AskedColumn, names: Mapping[str, str]) -> Iterator[str]:
    name = new.name
    for what, before, after in (
        ("endpoint", old.endpoint, new.endpoint),
        ("model", old.model, new.model),
        ("samples", old.samples, new.samples),
    ):
        if before != after:
            yield f"the {what} of {name} ({before!r} to {after!r})"
    texts = ("prompt", old.prompt, new.prompt), ("system text", old.system, new.system)
    for what, was, now in texts:
        if _text(was, names) != _text(now, {}):
            yield f"the {what} of {name}"
    if old.examples != new.examples:
        yield f"the examples of {name}"
    sampling = old.sampling.as_dict(), new.sampling.as_dict()
    sent = {*sampling[0], *sampling[1]}
    if differing := sorted(each for each in sent if sampling[0].get(each) != sampling[1].get(each)):
        yield f"the sampling of {name} ({', '.join(differing)})"
    if (old.when and old.when.fingerprint) != (new.when and new.when.fingerprint):
        yield f"the condition of {name}"
    if old.form != new.form:
        yield f"the form of {name}"
    if old.unlike != new.unlike:
        yield f"the likeness of near copies of {name} ({old.unlike or 'none'} to {new.unlike or 'none'})"


def _text(template: Template | None, names: Mapping[str, str]) -> tuple[str, bool] | None:
    """A template's text, with attributes by their names of today, and whether it is a Jinja template."""
    if template is None:
        return None
    text = template.with_names(lambda name: names.get(name, name)) if names else template.text
    return text, template.is_jinja


def _differences_of_one(
    held: Manifest, fresh: Manifest, before: AskedColumn, after: AskedColumn, names: Mapping[str, str]
) -> Iterator[str]:
    for name, old, new in (
        ("the endpoint", held.endpoint, fresh.endpoint),
        ("the model", held.model, fresh.model),
    ):
        if old != new:
            yield f"{name} ({old!r} to {new!r})"
    for what, was, now in (
        ("the prompt", before.prompt, after.prompt),
        ("the system text", before.system, after.system),
    ):
        if _text(was, names) != _text(now, {}):
            yield what
    if before.examples != after.examples:
        yield "the examples"
    before_sent, after_sent = held.spec.get("sampling", {}), fresh.spec["sampling"]
    if sampling := sorted(
        name for name in {*before_sent, *after_sent} if before_sent.get(name) != after_sent.get(name)
    ):
        yield f"the sampling ({', '.join(sampling)})"
