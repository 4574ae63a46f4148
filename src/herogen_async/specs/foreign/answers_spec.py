"""The spec that would have asked the questions which were paid for elsewhere. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.specs.foreign.paid_answers import PaidAnswer
from herogen_async.specs.spec import Sampling, Spec
from herogen_async.specs.spec.check import MAX_VALUES

ATTRIBUTE = "question"


@dataclass(frozen=True, slots=True)
class AnswersSpec:
    """`spec` asks each prompt once for each of its cells; `answers` are those that it has, `others` were left out.

    `others` counts answers of other models than the spec's.
    """

    spec: Spec
    answers: list[PaidAnswer]
    others: int


def spec_of_answers(answers: list[PaidAnswer], *, name: str, endpoint: str, model: str | None) -> AnswersSpec:
    """The spec called `name`. `model`: take only answers of this model, and those that don't say which it was.

    Raises InputError where the answers are of several models, were asked with several system texts or sampling
    parameters, or where there are none.
    """
    models = Counter(each.model for each in answers if each.model is not None)
    if model is None:
        if not models:
            raise InputError("the records don't say which model answered", fix="say it: --model NAME")
        if len(models) > 1:
            listed = ", ".join(f"{each} ({count:,})" for each, count in models.most_common(8))
            raise InputError(f"{len(models)} models have answered: {listed}", fix="import one of them: --model NAME")
        model = next(iter(models))
    own = [each for each in answers if each.model in (None, model)]
    if not any(each.text is not None for each in own):
        raise InputError(f"no record has an answer of the model {model!r}", fix="check --model, --prompt and --answer")
    systems = list(dict.fromkeys(each.system for each in own))
    if len(systems) > 1:
        raise InputError(
            f"the questions have {len(systems)} system texts, and a spec has one", fix="split the file by system text"
        )
    if systems[0] is not None and endpoint == "completions":
        raise InputError("the questions have a system text, and completions take none", fix="remove --endpoint")
    asked = Counter(each.prompt for each in own if each.is_request)
    answered = Counter(each.prompt for each in own if not each.is_request)
    prompts = list(dict.fromkeys(each.prompt for each in own))
    if len(prompts) > MAX_VALUES:
        raise InputError(
            f"{len(prompts):,} different prompts; a run of such answers has at most {MAX_VALUES:,}",
            fix="split the files, and import each part",
        )
    spec: dict[str, Any] = {
        "name": name,
        "attributes": {ATTRIBUTE: prompts},
        # What was requested and answered stands in both kinds of curator's files.
        "repeats": max(max(asked[each], answered[each]) for each in prompts),
        "prompt": f"{{{ATTRIBUTE}}}",
        "system": systems[0],
        "sampling": _sampling(own),
        "endpoint": endpoint,
        "model": model,
    }
    return AnswersSpec(Spec(**spec), own, len(answers) - len(own))


def _sampling(answers: list[PaidAnswer]) -> dict[str, Any]:
    different = {codec.canonical(each.sampling): each.sampling for each in answers}
    if len(different) > 1:
        raise InputError(
            f"the questions were sent with {len(different)} sets of sampling parameters, and a spec has one",
            fix="split the file by them",
        )
    given = next(iter(different.values()))
    known = {name: value for name, value in given.items() if name in Sampling.model_fields and name != "extra"}
    extra = {name: value for name, value in given.items() if name not in known}
    return {**known, **({"extra": extra} if extra else {})}
