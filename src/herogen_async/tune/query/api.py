"""Ask a model from Python: what `herogen-async query` is a thin shell of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Annotated, Any, TypeAlias, Unpack

from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import EndpointRefused, InputError
from herogen_async.core.event_loop import run_here
from herogen_async.core.keywords import check_keywords, shows_keywords
from herogen_async.core.likeness import shown
from herogen_async.core.limits import LIMITS, Limits
from herogen_async.generation.endpoint.embedded.weights_progress import WeightsProgress
from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.generation.observer import Observer, observer_of
from herogen_async.tune.asking import QUERY_KEYWORDS, Asking
from herogen_async.tune.query.keywords import QueryKeywords
from herogen_async.tune.query.model_session import QueryObserver, Reply, open_model
from herogen_async.tune.query.query_target import Target, find_target
from herogen_async.tune.query.questions import QuestionText, checked, each, question_of_row

QuestionLike: TypeAlias = str | Mapping[str, Any]
QuestionsLike: TypeAlias = QuestionLike | Iterable[QuestionLike]
_MEANINGS = {name: each.meaning for name, each in QUERY_KEYWORDS.items()}


class QueryOptions(QueryKeywords, total=False):
    """The options of `query` and `aquery`; each may be left out."""

    base_url: Annotated[str | None, "Server to query. Default: where the model was made."]
    endpoint: Annotated[str | None, "`completions` or `chat`. Default: as the model was taught."]
    api_key: Annotated[ApiKey | None, "The key, or a function that returns one. Default: OPENAI_API_KEY."]
    compare: Annotated[bool, "Also query the base model."]
    watch: Annotated[QueryObserver | None, "Receives progress: an Observer; `call_ended` gets each Reply."]


@shows_keywords(QueryOptions, _MEANINGS)
async def aquery(model: str, questions: QuestionsLike, **options: Unpack[QueryOptions]) -> list[Reply]:
    """What `model` answers to `questions`, in their order, each sample a Reply.

    `model` is a run (its latest fine-tune), a tuned model's name, any model of a server, `embedded` or a .gguf file. A
    question is a text, or a dict: of the attributes, or with a `prompt`, or with `messages`, which are sent as they
    stand. All are checked before the first one is asked. A question that was not answered has its `error`: also where
    the budget is spent or the server refuses everybody, once some are answered. Raises InputError, LocalModelError;
    EndpointRefused when nothing was answered, and nothing will be until a person acts.
    """
    check_keywords(options, QueryOptions)
    how = _asking(options)
    target = find_target(
        model,
        os.environ,
        base_url=options.get("base_url"),
        endpoint=options.get("endpoint"),
        api_key=options.get("api_key"),
    )
    several = [questions] if isinstance(questions, str | Mapping) else questions
    prompts = [_question(question, number, target) for number, question in enumerate(several, start=1)]
    gathering = _Gathering(observer_of(options.get("watch")))
    try:
        async with open_model(target, how, MonotonicClock(), prompts=prompts, observer=gathering) as model_session:
            await model_session.ask(each(prompts), how, gathering)
    except EndpointRefused as refused:
        if not any(reply.answer or reply.base for reply in gathering.replies):
            raise
        return _with_the_rest(gathering.replies, list(map(str, prompts)), how.samples, refused)
    return gathering.replies


@shows_keywords(QueryOptions, _MEANINGS)
def query(model: str, questions: QuestionsLike, **options: Unpack[QueryOptions]) -> list[Reply]:
    """What `model` answers to `questions`, in their order, each sample a Reply; works in a notebook, too.

    `model` is a run (its latest fine-tune), a tuned model's name, any model of a server, `embedded` or a .gguf file. A
    question is a text, or a dict: of the attributes, or with a `prompt`, or with `messages`, which are sent as they
    stand. Raises as `aquery`.
    """
    return run_here(aquery(model, questions, **options))


def _question(question: QuestionLike, number: int, target: Target) -> QuestionText:
    """What is asked for the question at place `number`. Raises InputError."""
    try:
        if isinstance(question, str):
            return checked(question, target.recipe)
        if isinstance(question, Mapping):
            return question_of_row(question, target.recipe, chat=target.endpoint == "chat")
        raise InputError(f"can't be {shown(question)}", fix="give a text, or a dict of the attributes")
    except InputError as error:
        raise InputError(f"question {number}: {error.message}", fix=error.fix) from None


def _with_the_rest(replies: list[Reply], prompts: list[str], samples: int, error: EndpointRefused) -> list[Reply]:
    """`replies`, with one that has `error` for each sample that nobody answered: what was paid for is never dropped."""
    held = {reply.number: reply for reply in replies}
    wanted = ((prompt, sample) for prompt in prompts for sample in range(1, samples + 1))
    return [
        held.get(number) or Reply(prompt, sample, error=error, number=number)
        for number, (prompt, sample) in enumerate(wanted)
    ]


class _Gathering(Observer[Reply, None]):
    """Keeps the replies, and passes on what it is told."""

    def __init__(self, observer: QueryObserver) -> None:
        self.replies: list[Reply] = []
        self._observer = observer

    def call_ended(self, record: Reply, /) -> None:
        """Kept first: what the observer raises ends the asking."""
        self.replies.append(record)
        self._observer.call_ended(record)

    def notice(self, line: str, /) -> None:
        """Passed on."""
        self._observer.notice(line)

    def weights(self, progress: WeightsProgress, /) -> None:
        """Passed on."""
        self._observer.weights(progress)


def _asking(options: QueryOptions) -> Asking:
    given = {name: value for name, value in options.items() if value is not None}
    limits = Limits(**{name: given[name] for name in LIMITS if name in given})  # type: ignore[arg-type]
    names = {each.name for each in fields(Asking)} - {"limits"}
    how = Asking(limits=limits, **{name: given[name] for name in names if name in given})  # type: ignore[arg-type]
    how.check()
    return how
