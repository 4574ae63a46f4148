"""Ask the tuned model and its base the same questions, and write down how they compare."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError
from herogen_async.core.event_loop import run_here
from herogen_async.data.charts import NO_MATPLOTLIB
from herogen_async.data.charts.evaluation_chart import Bar, draw_evaluation
from herogen_async.generation.observer import SILENT, Observer
from herogen_async.generation.run_folder import publish
from herogen_async.tune.evaluation.prompts import Questions, choose, completions_in
from herogen_async.tune.evaluation.records import Evaluation, Side, report
from herogen_async.tune.evaluation.scoring import Answered, score
from herogen_async.tune.evaluation.statistics import Copies
from herogen_async.tune.finetune.model_registry import without_changed_rows
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.query import Asking, ModelSession, QueryObserver, Reply, Target, each, open_model, target_of

ANSWERS = 32  # of each model: on two cores about a minute; a share is then known to 15 points or so
FOLDER, FIGURES_FILE, ANSWERS_FILE = "evaluation", "evaluation.json", "answers.jsonl"
_PICTURE = "evaluation.png"
_SAMPLES = 3  # answers that the report shows
_LOSSES = (("base_eval_loss", "base_valid_loss"), ("eval_loss", "valid_loss"))  # base, tuned


def evaluate_tuned(
    tuned: TunedModel,
    *,
    observer: QueryObserver = SILENT,
    answers: int = ANSWERS,
    seed: int = 0,
    environment: Mapping[str, str] = os.environ,
) -> Evaluation:
    """Ask `tuned` and its base `answers` questions each, and write the figures to the folder `evaluation` of its own.

    Written: `answers.jsonl`, when the tuned model has answered and again when its base has, `evaluation.json`,
    `report.md`, and a picture where matplotlib is there. `observer` is told how it goes. It runs a loop of its own.
    Raises InputError, LocalModelError, or EndpointRefused when the tuned model can't be asked at all; a base that can't
    be asked is left out, and the note says why, as it does where only some of the questions could be asked.
    """
    if answers < 1:
        raise InputError(f"invalid number of answers: {answers}", fix="give 1 or more")
    tuned, notes = without_changed_rows(tuned)
    for note in notes:
        observer.notice(note)
    questions = choose(tuned, answers, seed)
    target = target_of(tuned, environment)
    how = Asking(seed=seed)
    observer.notice(f"Evaluating {tuned.name!r} and its base on {answers} {questions.source}.")
    both = _Both(tuned.folder / FOLDER)
    run_here(_ask_both(target, questions, how, both, observer=observer))
    both.notes += notes
    return _written(tuned, questions, how, both)


@dataclass(slots=True)
class _Both:
    """What both models answer; kept in `folder` when one of them has answered, whatever becomes of the other (P4)."""

    folder: Path
    tuned: list[Answered] = field(default_factory=list)
    base: list[Answered] = field(default_factory=list)
    unanswered: list[EndpointError] = field(default_factory=list)
    no_base: str | None = None
    notes: list[str] = field(default_factory=list)

    def keep(self) -> None:
        """Publish all answers so far."""
        publish(self.folder / ANSWERS_FILE, b"".join(_answer_lines(self)))


async def _ask_both(target: Target, questions: Questions, how: Asking, both: _Both, *, observer: QueryObserver) -> None:
    """One model after the other: the embedded server answers no two of them in one batch."""
    prompts = [asked.sent for asked in questions.asked]
    async with open_model(target, how, MonotonicClock(), prompts=prompts, observer=observer) as model_session:
        await _ask(model_session, how, _Asked("tuned", questions, both, observer))
        if target.base is None:
            both.no_base = "No base model on record."
            return
        # Its own failures must not end what the tuned model has answered.
        try:
            await _ask(model_session.of_base(), how, _Asked("base", questions, both, observer))
        except EndpointRefused as refused:
            both.no_base = f"The base model could not be queried: {refused.message}"


class _Asked(Observer[Reply, None]):
    """What one model answers: kept, with the last of what was not answered, and told at each quarter."""

    def __init__(self, side: str, questions: Questions, both: _Both, observer: QueryObserver) -> None:
        self.side = side
        self.questions = questions.asked
        self.answered: list[Answered] = both.tuned if side == "tuned" else both.base
        self.both = both
        self.last_error: EndpointError | None = None
        self._observer = observer
        self._done = 0

    def call_ended(self, record: Reply, /) -> None:
        """The answer first: it was paid for."""
        if record.answer is not None:
            self.answered.append((self.questions[record.number], record.answer))
        if record.error is not None:
            self.both.unanswered.append(record.error)
            self.last_error = record.error
        total, before = len(self.questions), self._done
        self._done += 1
        if 4 * before // total < 4 * self._done // total:
            self._observer.notice(f"{self.side}: {self._done} of {total} answers")


async def _ask(model_session: ModelSession, how: Asking, asked: _Asked) -> None:
    """Each question has a seed of its own, so that the same one is answered in another way again.

    Answers received before a refusal are kept, and a note says why there are fewer.
    """
    try:
        await model_session.ask(
            each(question.sent for question in asked.questions), replace(how, seed_each=True), asked
        )
    except EndpointRefused as refused:
        if not asked.answered:
            raise
        count = f"{len(asked.answered)} of {len(asked.questions)}"
        asked.both.notes.append(f"{asked.side}: {count} answers, then stopped: {refused.message}")
    finally:
        if asked.answered:
            asked.both.keep()
    last = asked.last_error
    if not asked.answered and last is not None:
        raise EndpointRefused(f"no question was answered; last error: {last.message}", fix=last.fix)


def _written(tuned: TunedModel, questions: Questions, how: Asking, both: _Both) -> Evaluation:
    """The figures, the picture, and the report last: it can be made again."""
    taught = list(completions_in(tuned.training, tuned.recipe))
    copies = Copies(taught) if taught else None
    base_loss, tuned_loss = (_metric(tuned.metrics, names) for names in _LOSSES)
    recipe, folder = tuned.recipe, tuned.folder / FOLDER
    base = score(both.base, tuned.base_model, recipe, copies, base_loss) if both.base else None
    notes = [*both.notes, *([both.no_base] if both.no_base else [])]
    if both.unanswered:
        notes.append(f"Not answered: {len(both.unanswered)}; last error: {both.unanswered[-1].message}")
    evaluation = Evaluation(
        tuned=score(both.tuned, tuned.name, recipe, copies, tuned_loss),
        base=base,
        source=questions.source,
        questions=questions.different,
        answers=len(questions.asked),
        temperature=how.temperature,
        max_tokens=how.max_tokens,
        seed=how.seed or 0,
        folder=folder,
    )
    drawn = None
    with suppress(ImportError):
        drawn = draw_evaluation(_bars(evaluation), title="Answers of the tuned model and its base")
        publish(folder / _PICTURE, drawn)
    if drawn is None:
        notes.append(NO_MATPLOTLIB)
    files = (FIGURES_FILE, "report.md", ANSWERS_FILE, *([_PICTURE] if drawn else []))
    evaluation = replace(evaluation, note=" ".join(notes) or None, files=files)
    publish(folder / FIGURES_FILE, codec.dumps_pretty(evaluation.as_dict()))
    publish(folder / "report.md", report(evaluation, _PICTURE if drawn else None, _pairs(both)).encode())
    return evaluation


def _metric(metrics: Mapping[str, float], names: Iterable[str]) -> float | None:
    return next((metrics[name] for name in names if name in metrics), None)


def _answer_lines(both: _Both) -> Iterable[bytes]:
    for side, answered in (("tuned", both.tuned), ("base", both.base)):
        for asked, answer in answered:
            yield codec.dumps({"side": side, "cell": dict(asked.cell), **answer.as_dict()}) + b"\n"


def _pairs(both: _Both) -> list[tuple[str, str, str]]:
    base = {asked.prompt: answer.text for asked, answer in reversed(both.base)}
    shown: dict[str, str] = {}
    for asked, answer in both.tuned:
        shown.setdefault(asked.prompt, answer.text)
    return [(prompt, base.get(prompt, "-"), text) for prompt, text in list(shown.items())[:_SAMPLES]]


def _bars(evaluation: Evaluation) -> list[Bar]:
    """A bar for each share, those of single attributes after that of the whole cell."""

    def of(side: Side | None, name: str) -> tuple[float, float, float] | None:
        share = None if side is None else side.shares.get(name) or side.keeps.get(name.removeprefix("keeps to the "))
        return None if share is None else (share.value, *share.interval)

    tuned = evaluation.tuned
    names: list[str] = []
    for name in tuned.shares:
        names.append(name)
        if name == "keeps to the whole cell":
            names += [f"keeps to the {attribute}" for attribute in tuned.keeps]
    return [Bar(name, shown, of(evaluation.base, name)) for name in names if (shown := of(tuned, name)) is not None]
