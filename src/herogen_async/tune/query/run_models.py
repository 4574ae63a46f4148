"""The models that can be asked about a run: those that its fine-tunes made, and the one that answered it.

A tuned model is asked as it was taught, and the run's own as the run asked it: with the prompt, the system text and the
sampling of its first column.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from herogen_async.core.errors import DamageError, InputError, RunFolderError
from herogen_async.core.likeness import as_seen
from herogen_async.data.dataset.recipe import Recipe
from herogen_async.generation.endpoint.target import EMBEDDED, choose_server, key_in
from herogen_async.generation.intents import numbered_folders
from herogen_async.generation.run_folder import RunFolder, read_manifest
from herogen_async.specs.columns import AskedColumn
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Template
from herogen_async.tune.asking import Asking
from herogen_async.tune.finetune.model_registry import tuned_in
from herogen_async.tune.finetune.records import TunedModel
from herogen_async.tune.query.query_target import Model, Target, plain_recipe, target_of
from herogen_async.tune.query.questions import Conversation, QuestionText, checked, question_from

OF_RUN = "run"
"""The `id` of the model that answered a run."""
_OWN_OPTIONS = ("temperature", "max_tokens", "max_completion_tokens", "seed")  # of a sampling: those of `Asking`


class RunModel(Protocol):
    """A model, and how its questions are made.

    `id` tells it from the run's others. `attributes` are what a question is made of, in its order, with the values on
    record, `optional` those that don't apply to every cell; both are empty where a question is words alone. `recipe` is
    what stands around a question and an answer. `how` is how it is asked unless somebody says otherwise.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def base(self) -> str | None: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def attributes(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def optional(self) -> Sequence[str]: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def how(self) -> Asking: ...

    def target(self, environment: Mapping[str, str]) -> Target:
        """Where it is asked. Raises InputError where no server is known for it, or its key is not at hand."""
        ...

    def question(self, cell: Mapping[str, str]) -> str:
        """The question about a cell, without a separator. Raises InputError."""
        ...

    def asked(self, question: str, cell: Mapping[str, str]) -> QuestionText:
        """What is asked for a question's text: with the run's system text about `cell`, where it has one.

        Raises InputError.
        """
        ...


def run_models(folder: RunFolder) -> list[RunModel]:
    """The models of a run: the latest that was tuned first, the run's own last. Raises RunFolderError, DamageError."""
    found: list[RunModel] = []
    for each in reversed(numbered_folders(folder.path / "finetune")):
        with contextlib.suppress(DamageError, RunFolderError):  # one that can't be read hides no other
            if (tuned := tuned_in(each)) is not None:
                found.append(_Taught(tuned))
    return [*found, _own_model(folder)]


@dataclass(frozen=True, slots=True)
class _Taught:
    """A tuned model."""

    tuned: TunedModel

    @property
    def id(self) -> str:
        return self.tuned.folder.name

    @property
    def name(self) -> str:
        return self.tuned.name

    @property
    def base(self) -> str | None:
        return self.tuned.base_model

    @property
    def base_url(self) -> str | None:
        return self.tuned.base_url

    @property
    def attributes(self) -> Mapping[str, Sequence[str]]:
        recipe = self.tuned.recipe
        names = () if recipe.sub_prompt is None else Template(recipe.sub_prompt).names
        return {name: recipe.attributes.get(name, ()) for name in names}

    @property
    def optional(self) -> Sequence[str]:
        return [name for name in self.attributes if name in self.tuned.recipe.rules.branches]

    @property
    def recipe(self) -> Recipe:
        return self.tuned.recipe

    @property
    def how(self) -> Asking:
        return Asking()

    def target(self, environment: Mapping[str, str]) -> Target:
        return target_of(self.tuned, environment)

    def question(self, cell: Mapping[str, str]) -> str:
        return question_from(cell, self.tuned.recipe)

    def asked(self, question: str, cell: Mapping[str, str]) -> QuestionText:  # noqa: ARG002 - the protocol's
        return checked(question, self.tuned.recipe)


@dataclass(frozen=True, slots=True)
class _Own:
    """The model that answered a run; `weights` is the embedded model's file."""

    name: str
    column: AskedColumn
    base_url: str | None
    weights: str | None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    optional: Sequence[str] = ()
    id: str = OF_RUN
    base: str | None = None
    recipe: Recipe = field(default_factory=plain_recipe)

    @property
    def how(self) -> Asking:
        said = self.column.sampling
        usual = Asking()
        longest = said.max_tokens or said.max_completion_tokens or usual.max_tokens
        temperature = usual.temperature if said.temperature is None else said.temperature
        return replace(usual, max_tokens=longest, temperature=temperature)

    def target(self, environment: Mapping[str, str]) -> Target:
        recipe, kind = self.recipe, self.column.endpoint
        more = {name: value for name, value in self.column.sampling.as_sent().items() if name not in _OWN_OPTIONS}
        if self.base_url is None:
            return Target(Model(self.name, more), recipe, kind, weights=self.weights or EMBEDDED)
        variable = self.column.key_env
        key = None if variable is None else key_in(variable, f"column {self.column.name!r}", environment)
        server = choose_server(self.base_url, self.name, environment, api_key=key)
        return Target(Model(self.name, {"model": self.name, **more}), recipe, kind, server=server)

    def question(self, cell: Mapping[str, str]) -> str:
        if missing := [
            each for each in self.attributes if each not in self.optional and not as_seen(cell.get(each, ""))
        ]:
            raise InputError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty", fix="give a value"
            )
        return self.column.prompt.render(cell)

    def asked(self, question: str, cell: Mapping[str, str]) -> QuestionText:
        text = checked(question, self.recipe)
        system = self.column.system
        if system is None or self.column.endpoint != "chat":
            return text
        sent: list[dict[str, Any]] = [
            {"role": "system", "content": system.render(cell)},
            {"role": "user", "content": text},
        ]
        return Conversation(tuple(sent))


def _own_model(folder: RunFolder) -> RunModel:
    manifest = read_manifest(folder)
    spec = manifest.resolved_spec()
    plan = Plan(spec, endpoint=manifest.endpoint, model=manifest.model)
    column = next((each for each in plan.columns if not each.parents), plan.columns[0])
    names = dict.fromkeys((*column.prompt.names, *(() if column.system is None else column.system.names)))
    facets = plan.cells.facets
    # What shows examples, or continues a conversation, is made of more than a cell: its question is written by hand.
    is_made_of_cell = not column.turns and not column.parents and names.keys() <= facets.keys()
    attributes = {name: facets[name] for name in names} if is_made_of_cell else {}
    return _Own(
        column.model,
        column,
        column.base_url or manifest.base_url,
        (manifest.weights or {}).get("file"),
        attributes,
        [name for name in attributes if name in spec.cell_rules.branches],
    )


def sent_text(question: QuestionText, recipe: Recipe) -> str:
    """A question as its model finds it, with the separator; of a conversation, the last of a user's messages."""
    return str(question) if isinstance(question, Conversation) else recipe.question(question)
