"""The columns of a row as they are asked: resolved, in order, each with the fingerprint of all that makes its answer.

A column's fingerprint covers what is sent for it and the fingerprints of the columns that its templates name (a Merkle
tree): an edit changes exactly those of the column and of what builds on it. Names of columns are no part of it, nor
are conditions, forms, servers and keys. A column that names no other one has the fingerprint that a spec of that
prompt alone has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from herogen_async.core.errors import InputError
from herogen_async.specs.spec import Column, Sampling, Spec, Template
from herogen_async.specs.spec.column_graph import Uses, in_order, sampled_by, samples_of, sent_names
from herogen_async.specs.spec.conversation import (
    TRANSCRIPT,
    SpokenTurns,
    TalkingColumns,
    is_transcript,
    stem_of,
    with_transcript,
)
from herogen_async.specs.spec.sampling import question_fingerprint
from herogen_async.specs.spec.syntax import template_of
from herogen_async.specs.spec.template import SHOWN_EXAMPLES, with_other_names

if TYPE_CHECKING:
    from herogen_async.specs.expressions import Expression
    from herogen_async.specs.forms import AnswerForm

FIRST_COLUMN = "response_txt"  # what `prompt:` stands for
SWAPPED = "swapped"
_LIMITS = ("max_tokens", "max_completion_tokens")  # of one answer: a column's own replaces either


@dataclass(frozen=True, slots=True)
class AskedColumn:
    """One column with all that is its own or the spec's.

    `sent` are the columns that its templates name, `parents` those and the ones of its condition. `first_call` is its
    place among the calls of a row, and `samples` how many there are of it. `base_urls` and `key_env` are set where the
    column has its own; several are servers of one model.

    A judge that compares two columns is asked in both orders: `pair` is the one that this column asks in, `swapped`
    the name of the column that asks in the other one, and whose answer is read with this one's. `told` are the names
    of columns that such judges tell, and a prompt may hold. `turns` are (role, column) of what is sent as the messages
    of a chat, instead of the prompt; empty: the prompt is. `unlike`: an answer that is as like an earlier one of this
    column is a near copy. `examples` is the fingerprint of the examples that its templates show; None where they show
    none.
    """

    name: str
    prompt: Template
    system: Template | None
    sampling: Sampling
    endpoint: str
    model: str
    samples: int
    first_call: int
    sent: tuple[str, ...]
    parents: tuple[str, ...]
    fingerprint: str
    when: Expression | None = None
    base_urls: tuple[str, ...] = ()
    key_env: str | None = None
    form: AnswerForm | None = None
    pair: tuple[str, str] | None = None
    swapped: str | None = None
    told: tuple[str, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    unlike: float | None = None
    examples: str | None = None

    @property
    def base_url(self) -> str | None:
        """Its own server, the first of several: prices are looked up for it."""
        return self.base_urls[0] if self.base_urls else None

    def is_near_copy(self, line: Mapping[str, Any]) -> bool:
        """Whether the journal's line of an answer says that it is a near copy, by the likeness of today."""
        near = line.get("near_copy") if self.unlike is not None else None
        return near is not None and self.unlike is not None and near["likeness"] >= self.unlike

    @property
    def stem(self) -> str:
        """What the spec calls the column that it belongs to."""
        return stem_of(self.name)

    @property
    def calls(self) -> range:
        """The places of its samples among the calls of a row."""
        return range(self.first_call, self.first_call + self.samples)


def asked_columns(spec: Spec, *, endpoint: str, model: str) -> tuple[AskedColumn, ...]:
    """The columns of `spec`, each behind what it builds on; `endpoint` and `model` are of those that set none.

    Raises InputError where two of them would ask the same.
    """
    resolved = _resolved(spec, endpoint, model)
    uses = {name: _uses(each, resolved) for name, each in resolved.items()}
    samples = samples_of(uses)
    found: dict[str, AskedColumn] = {}
    for name in in_order(uses):
        each = resolved[name]
        sent = tuple(dict.fromkeys(other.name for other in uses[name].sent if other.name in uses))
        told = tuple(told for other in sent if "swapped" in resolved[other] for told in resolved[other]["pair"])
        shows = spec.examples is not None and any(other.name == SHOWN_EXAMPLES for other in uses[name].sent)
        examples = spec.examples.fingerprint if shows and spec.examples is not None else None
        found[name] = AskedColumn(
            **{**each, "samples": samples[name], "told": told, "examples": examples},
            name=name,
            first_call=sum(other.samples for other in found.values()),
            sent=sent,
            parents=tuple(other for other in uses[name].names if other in uses),
            fingerprint=_fingerprint(
                {**each, "told": told, "examples": examples}, {other: found[other].fingerprint for other in sent}
            ),
        )
    _refuse_twins(found)
    return tuple(found.values())


def _uses(each: Mapping[str, Any], resolved: Mapping[str, Mapping[str, Any]]) -> Uses:
    """What a column names; of a judge that is asked in both orders, both of its columns."""
    other = {name: found["swapped"] for name, found in resolved.items() if "swapped" in found}
    sent = sent_names(each["prompt"], each["system"])
    asked = () if each["when"] is None else each["when"].stems
    if other:
        sent = tuple(both for name in sent for both in (name, name._replace(name=other.get(name.name, name.name))))
        asked = tuple(both for name in asked for both in (name, other.get(name, name)))
    return Uses(sent, asked, each["samples"])


def sample_sources(columns: Iterable[AskedColumn]) -> dict[str, frozenset[str]]:
    """For each column the ones with samples of their own whose sample i its sample i is made from, itself included."""
    found: dict[str, frozenset[str]] = {}
    samples: dict[str, int] = {}
    for column in columns:  # each comes behind what it builds on
        samples[column.name] = column.samples
        asked = () if column.when is None else column.when.stems
        uses = Uses(sent_names(column.prompt, column.system), asked)
        parents = [name for name, _ in sampled_by(column.name, {column.name: uses}, samples) if name in found]
        own = frozenset((column.name,)) if column.samples > 1 else frozenset[str]()
        found[column.name] = frozenset().union(*(found[name] for name in parents)) or own
    return found


def by_target(columns: Iterable[AskedColumn]) -> list[tuple[AskedColumn, ...]]:
    """The columns that are asked of one model at one server with one key, together; all in their order."""
    found: dict[tuple[tuple[str, ...], str, str | None], list[AskedColumn]] = {}
    for column in columns:
        found.setdefault((column.base_urls, column.model, column.key_env), []).append(column)
    return [tuple(each) for each in found.values()]


def column_fingerprint(column: AskedColumn, parents: Mapping[str, str], attributes: Mapping[str, str]) -> str:
    """What the fingerprint of `column` would be, were its attributes called as `attributes` says.

    `parents` are the fingerprints of the columns that it names.
    """
    return _fingerprint(
        {
            "endpoint": column.endpoint,
            "model": column.model,
            "prompt": column.prompt,
            "system": column.system,
            "sampling": column.sampling,
            "told": column.told,
            "turns": column.turns,
            "examples": column.examples,
        },
        parents,
        attributes,
    )


def _resolved(spec: Spec, endpoint: str, model: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    has_columns = bool(spec.columns)
    if spec.prompt:
        found[FIRST_COLUMN] = {
            "prompt": template_of(spec.prompt, spec.template, names_columns=has_columns, is_prompt=True),
            "system": None if spec.system is None else template_of(spec.system, spec.template),
            "sampling": spec.sampling,
            "endpoint": endpoint,
            "model": model,
            "samples": 1,
            "when": None,
        }
    for name, column in spec.columns.items():
        asked = _resolved_column(column, spec, column.endpoint or endpoint, column.model or model)
        turns = {name: asked} if spec.conversation is None else _by_turn(name, asked, spec.conversation)
        found |= turns if column.pair is None else _in_both_orders(name, turns[name], column.pair)
    return found


def _by_turn(name: str, asked: Mapping[str, Any], conversation: TalkingColumns) -> dict[str, dict[str, Any]]:
    """The turns of a column of a conversation, each with what was said before it; of another one itself, with all."""
    spoken = conversation.spoken
    if name not in conversation.columns:
        return {name: {**asked, **{key: _said(asked[key], spoken) for key in ("prompt", "system")}}}
    from herogen_async.specs.forms import spoken_form  # noqa: PLC0415 - few columns are a side of a conversation

    form = asked["form"] or spoken_form()
    is_chat = name == conversation.assistant and asked["endpoint"] == "chat" and is_transcript(asked["prompt"])
    # As messages all ways to write that are one question.
    prompt = Template(f"{{{TRANSCRIPT}}}", names_columns=True) if is_chat else asked["prompt"]
    found: dict[str, dict[str, Any]] = {}
    for number, (_, turn) in enumerate(spoken):
        if stem_of(turn) == name:
            before = spoken[:number]
            turns = tuple(before) if is_chat else ()
            found[turn] = {**asked, "prompt": _said(prompt, before), "turns": turns, "form": form}
    return found


def _said(template: Template | None, turns: SpokenTurns) -> Template | None:
    return None if template is None else with_transcript(template, turns)


def _in_both_orders(name: str, asked: Mapping[str, Any], pair: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """A judge of two columns: as it is written, and with each of them in the place of the other."""
    from herogen_async.specs.forms import pair_form  # noqa: PLC0415 - few columns are one

    first, second = pair
    swap = {first: second, second: first}
    texts = {key: None if (text := asked[key]) is None else text.renamed(swap) for key in ("prompt", "system")}
    swapped = f"{name}.{SWAPPED}"
    return {
        name: {**asked, "form": pair_form(first, second), "pair": pair, "swapped": swapped},
        swapped: {**asked, **texts, "form": pair_form(second, first), "pair": (second, first)},
    }


def _resolved_column(column: Column, spec: Spec, endpoint: str, model: str) -> dict[str, Any]:
    has_own = column.system is not None or endpoint != "chat"
    system, syntax = (column.system, column.template) if has_own else (spec.system, spec.template)
    return {
        "prompt": template_of(column.prompt, column.template, names_columns=True, is_prompt=True),
        "system": None if system is None else template_of(system, syntax, names_columns=True),
        "sampling": merged_sampling(spec.sampling, column.sampling),
        "endpoint": endpoint,
        "model": model,
        "samples": column.samples,
        "when": _condition(column.when),
        "form": None if column.pair is not None else _form(column.answer),
        "base_urls": column.base_urls,
        "key_env": column.key_env,
        "unlike": column.unlike,
    }


def merged_sampling(shared: Sampling, own: Sampling | None) -> Sampling:
    """`shared` with what `own` sets; a limit on the answer replaces whichever limit there was."""
    if own is None:
        return shared
    mine = own.as_dict()
    base = {
        name: value
        for name, value in shared.as_dict().items()
        if not (name in _LIMITS and any(limit in mine for limit in _LIMITS))
    }
    extra = {**base.get("extra", {}), **mine.get("extra", {})}
    return Sampling(**{**base, **mine, **({"extra": extra} if extra else {})})


def _condition(text: str | None) -> Expression | None:
    if text is None:
        return None
    from herogen_async.specs.expressions import Expression  # noqa: PLC0415 - few specs have a condition

    return Expression.parse(text)


def _form(answer: Mapping[str, Any] | None) -> AnswerForm | None:
    if answer is None:
        return None
    from herogen_async.specs.forms import form_of  # noqa: PLC0415 - few specs have a form

    return form_of(answer)


def _fingerprint(
    column: Mapping[str, Any], parents: Mapping[str, str], attributes: Mapping[str, str] | None = None
) -> str:
    places = {name: str(place) for place, name in enumerate(parents)}

    def text(template: Template | None) -> str | None:
        if template is None or not (parents or attributes):
            return None if template is None else template.text
        names = {**(attributes or {}), **places}
        return template.with_names(lambda placeholder: with_other_names(placeholder, names))

    return question_fingerprint(
        column["endpoint"],
        column["model"],
        text(column["prompt"]) or "",
        system=text(column["system"]),
        sampling=column["sampling"],
        columns=[*parents.values(), *column.get("told", ())],
        as_messages=bool(column.get("turns")),
        jinja=[key for key in ("prompt", "system") if (each := column[key]) is not None and each.is_jinja],
        examples=column.get("examples"),
    )


def _refuse_twins(columns: Mapping[str, AskedColumn]) -> None:
    first: dict[str, str] = {}
    for name, column in columns.items():
        if (twin := first.setdefault(column.fingerprint, name)) != name:
            raise InputError(
                f"the columns {twin!r} and {name!r} ask the same question of the same model",
                fix=f"remove {name!r}, and write `samples: 2` under {twin!r} for two answers",
            )
