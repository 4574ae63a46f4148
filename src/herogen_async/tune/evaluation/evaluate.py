"""Ask the tuned model and its base the same questions, and write down how they compare."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import EndpointError, EndpointRefused, InputError
from herogen_async.data.charts import NO_MATPLOTLIB
from herogen_async.data.charts.evaluation_chart import Bar, draw_evaluation
from herogen_async.generation.endpoint.embedded import OnProgress
from herogen_async.generation.run_folder import publish
from herogen_async.tune.evaluation.prompts import Questions, choose, completions_in
from herogen_async.tune.evaluation.records import Evaluation, Side, report
from herogen_async.tune.evaluation.scoring import Answered, score
from herogen_async.tune.evaluation.statistics import Copies
from herogen_async.tune.finetune.model_registry import without_changed_rows
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.query import Asking, ModelSession, Reply, Target, each, open_model, target_of

ANSWERS = 32  # of each model: on two cores about a minute; a share is then known to 15 points or so
FOLDER = "evaluation"
_PICTURE = "evaluation.png"
_SAMPLES = 3  # answers that the report shows
_LOSSES = (("base_eval_loss", "base_valid_loss"), ("eval_loss", "valid_loss"))  # base, tuned


def evaluate_tuned(
    tuned: TunedModel,
    *,
    say: Callable[[str], None],
    answers: int = ANSWERS,
    seed: int = 0,
    on_weights: OnProgress = lambda _: None,
    environment: Mapping[str, str] = os.environ,
) -> Evaluation:
    """Ask `tuned` and its base `answers` questions each, and write the figures to the folder `evaluation` of its own.

    Written: `answers.jsonl`, as soon as all are there, `evaluation.json`, `report.md`, and a picture where matplotlib
    is there. `say` is told how it goes. It runs a loop of its own. Raises InputError, LocalModelError, or
    EndpointRefused when the tuned model can't be asked at all; a base that can't be asked is left out, and the note
    says why, as it does where only some of the questions could be asked.
    """
    if answers < 1:
        raise InputError(f"{answers} answers are none to evaluate", fix="give a number above zero")
    tuned, notes = without_changed_rows(tuned)
    for note in notes:
        say(note)
    questions = choose(tuned, answers, seed)
    target = target_of(tuned, environment)
    how = Asking(seed=seed)
    say(f"Evaluating: {answers} {questions.source}, asked of {tuned.name!r} and of its base.")
    both = asyncio.run(_ask_both(target, questions, how, say, on_weights))
    both.notes += notes
    return _written(tuned, questions, how, both)


@dataclass(slots=True)
class _Both:
    tuned: list[Answered] = field(default_factory=list)
    base: list[Answered] = field(default_factory=list)
    unanswered: list[EndpointError] = field(default_factory=list)
    no_base: str | None = None
    notes: list[str] = field(default_factory=list)


async def _ask_both(
    target: Target, questions: Questions, how: Asking, say: Callable[[str], None], on_weights: OnProgress
) -> _Both:
    """One model after the other: the embedded server answers no two of them in one batch."""
    both = _Both()
    prompts = [asked.prompt for asked in questions.asked]
    async with open_model(
        target, how, MonotonicClock(), prompts=prompts, on_weights=on_weights, on_notice=say
    ) as model_session:
        await _ask(model_session, questions, how, both.tuned, progress=_Progress("tuned", both, say, len(prompts)))
        if target.base is None:
            both.no_base = "The base model is not recorded."
            return both
        # Its own failures must not end what the tuned model has answered.
        try:
            await _ask(
                model_session.of_base(), questions, how, both.base, progress=_Progress("base", both, say, len(prompts))
            )
        except EndpointRefused as refused:
            both.no_base = f"The base model could not be asked: {refused.message}"
    return both


class _Progress:
    """Says at each quarter how far a model is; keeps what was not answered."""

    def __init__(self, side: str, both: _Both, say: Callable[[str], None], total: int) -> None:
        self.side = side
        self.both = both
        self._say = say
        self._total = total
        self._done = 0

    def __call__(self, reply: Reply) -> None:
        if reply.error is not None:
            self.both.unanswered.append(reply.error)
        before, self._done = self._done, self._done + 1
        if 4 * before // self._total < 4 * self._done // self._total:
            self._say(f"{self.side}: {self._done} of {self._total} answers")


async def _ask(
    model_session: ModelSession,
    questions: Questions,
    how: Asking,
    answered: list[Answered],
    *,
    progress: _Progress,
) -> None:
    """Fill `answered`. Each question has a seed of its own, so that the same one is answered in another way again.

    Answers that are there when nothing more can be answered are kept, and a note says why they are fewer.
    """
    last: EndpointError | None = None

    def take(reply: Reply) -> None:
        nonlocal last
        if reply.answer is not None:
            answered.append((questions.asked[reply.number], reply.answer))
        last = reply.error or last
        progress(reply)

    try:
        await model_session.ask(
            each(question.prompt for question in questions.asked), replace(how, seed_each=True), take
        )
    except EndpointRefused as refused:
        if not answered:
            raise
        count = f"{len(answered)} of {len(questions.asked)}"
        progress.both.notes.append(f"{progress.side}: {count} answers; then it could not be asked: {refused.message}")
    if not answered and last is not None:
        raise EndpointRefused(f"no question was answered, the last one so: {last.message}", fix=last.fix)


def _written(tuned: TunedModel, questions: Questions, how: Asking, both: _Both) -> Evaluation:
    """Publish the answers before anything is derived from them (P4), and the report last: it can be made again."""
    publish(tuned.folder / FOLDER / "answers.jsonl", b"".join(_answer_lines(both)))
    taught = list(completions_in(tuned.training, tuned.recipe))
    copies = Copies(taught) if taught else None
    base_loss, tuned_loss = (_metric(tuned.metrics, names) for names in _LOSSES)
    recipe, folder = tuned.recipe, tuned.folder / FOLDER
    base = score(both.base, tuned.base_model, recipe, copies, base_loss) if both.base else None
    notes = [*both.notes, *([both.no_base] if both.no_base else [])]
    if both.unanswered:
        notes.append(f"Not answered: {len(both.unanswered)}, the last one so: {both.unanswered[-1].message}")
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
        drawn = draw_evaluation(_bars(evaluation), title="Answers of the tuned model and of its base")
        publish(folder / _PICTURE, drawn)
    if drawn is None:
        notes.append(NO_MATPLOTLIB)
    files = ("evaluation.json", "report.md", "answers.jsonl", *([_PICTURE] if drawn else []))
    evaluation = replace(evaluation, note=" ".join(notes) or None, files=files)
    publish(folder / "evaluation.json", codec.dumps_pretty(evaluation.as_dict()))
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
