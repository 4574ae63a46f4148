"""Answers that were paid for elsewhere, as a run: its spec asks what they answer, and they are its done rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from herogen_async.core.clock import Clock, MonotonicClock
from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import choose_server
from herogen_async.generation.journal.write.new_run import write_paid
from herogen_async.generation.run_folder import Manifest, find_run, package_versions
from herogen_async.generation.settings import check_endpoint
from herogen_async.specs.foreign import (
    AnswersSpec,
    FieldNames,
    PaidAnswer,
    read_answers,
    spec_of_answers,
    with_repeats,
)
from herogen_async.specs.plan import Call, Plan
from herogen_async.specs.spec import Spec
from herogen_async.specs.spec.check import NAME


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run of `total` rows, of which `rows` are done. `left_out` counts the records that gave none, by why.

    `unended` of the rows don't say how their answer ended; `formed` questions without an answer were asked for with a
    `response_format`.
    """

    run: str
    spec: Spec
    rows: int
    total: int
    left_out: dict[str, int]
    unended: int
    formed: int
    argument: str


def import_answers(
    files: list[Path],
    *,
    run: str | None,
    endpoint: str | None,
    model: str | None,
    base_url: str | None,
    names: FieldNames,
    clock: Clock | None = None,
) -> ImportedRun:
    """Make the run `run` of the answers in `files`; named after the first one when left out.

    Nothing is sent. `base_url` is where `resume` would ask what is missing. Raises InputError, DiskError.
    """
    check_endpoint(endpoint)
    stem = files[0].resolve().stem
    folder = find_run(run if run is not None else stem if NAME.fullmatch(stem) else "imported")
    read = read_answers(files, names)
    name = folder.path.name if NAME.fullmatch(folder.path.name) else "imported"
    if not read.answers:
        if not read.left_out:
            raise InputError(f"no records in {', '.join(map(str, files))}", fix="give files of records")
        why = "; ".join(f"{count:,} {reason}" for reason, count in read.left_out.most_common(4))
        raise InputError(
            f"no record of {', '.join(map(str, files))} has a prompt ({why})",
            fix="name its fields: --prompt FIELD --answer FIELD",
        )
    asked = spec_of_answers(read.answers, name=name, endpoint=endpoint or "chat", model=model)
    spec = asked.spec
    assert spec.model is not None
    # No key is needed to read answers: one that is never sent stands in for it.
    server = choose_server(base_url, spec.model, os.environ, api_key="none")
    if server is None:
        raise InputError(f"{spec.model!r} is the embedded model", fix="say with --model which model has answered")
    plan = Plan(spec, endpoint=spec.endpoint, model=spec.model)
    at = (clock or MonotonicClock()).wall()
    manifest = Manifest(
        spec=spec.as_dict(),
        grid_fingerprint=plan.grid_fingerprint,
        generation_fingerprint=plan.generation_fingerprint,
        endpoint=spec.endpoint,
        model=spec.model,
        base_url=server.base_url,
        created_at=at.isoformat(),
        versions=package_versions(),
    )
    rows = write_paid(folder, manifest, _calls(asked, plan), at=at)
    others = {"they are of another model": asked.others} if asked.others else {}
    unended = sum(each.text is not None and each.finish_reason is None for each in asked.answers)
    formed = sum(each.has_form for each in asked.answers if each.text is None) if rows < plan.rows else 0
    left_out = {**others, **read.left_out}
    return ImportedRun(str(folder.path), spec, rows, plan.rows, left_out, unended, formed, folder.argument)


def _calls(asked: AnswersSpec, plan: Plan) -> Iterator[tuple[Call, PaidAnswer]]:
    (prompts,) = asked.spec.attributes.values()
    cells = {prompt: number for number, prompt in enumerate(prompts)}
    for answer, repeat in with_repeats(asked.answers):
        yield plan.call(cells[answer.prompt] * plan.repeats + repeat - 1), answer
