"""What a run is: everything that `resume` needs, and never a secret."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import TypeAdapter, ValidationError

from herogen_async.core import codec
from herogen_async.core.errors import DamageError, RunFolderError, SpecError
from herogen_async.generation.run_folder.layout import ASK_THE_OWNER, RunFolder
from herogen_async.generation.run_folder.own_file import own_bytes
from herogen_async.generation.run_folder.publish import publish
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Era, Lineage, Plan
from herogen_async.specs.spec import Spec

SCHEMA_VERSION = 1
_SHOWN = 80  # characters of a wrong value
_PACKAGES = ("herogen-async", "openai", "pyreqwest", "httptools", "orjson", "xllamacpp")
_version_of = cache(version)  # it reads a file, and what is installed stays so while a process runs


@dataclass(frozen=True, slots=True)
class EarlierPlan:
    """What a run was before its spec or its model was changed: segments from `first_segment` on were written so."""

    spec: dict[str, Any]
    endpoint: str
    model: str
    first_segment: int = 0

    def era(self) -> Era:
        """As a plan."""
        return Era(Plan(_whole_spec(self.spec), endpoint=self.endpoint, model=self.model), self.first_segment)


@dataclass(frozen=True, slots=True)
class Manifest:
    """`spec` is the resolved spec as plain data; for the embedded model `base_url` is None and `weights` is set.
    `other_urls` are those of further servers of the model: which of them a row came from changes nothing.

    What it says holds for the segments from `first_segment` on; `earlier` is what held before. `keeps_stale`: answers
    that were made under another generation still count, but not those of the columns `regenerated` and what builds on
    them.
    """

    spec: dict[str, Any]
    grid_fingerprint: str
    generation_fingerprint: str
    endpoint: str
    model: str
    base_url: str | None
    created_at: str
    weights: dict[str, str] | None = None
    settings: Settings = field(default_factory=Settings)
    versions: dict[str, str] = field(default_factory=dict)
    earlier: list[EarlierPlan] = field(default_factory=list)
    first_segment: int = 0
    keeps_stale: bool = False
    regenerated: list[str] = field(default_factory=list)
    other_urls: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of all servers of its model; none for the embedded one."""
        return () if self.base_url is None else (self.base_url, *self.other_urls)

    def resolved_spec(self) -> Spec:
        """The spec that this run is made with. DamageError when it is none: a person's mistake never gets here."""
        return _whole_spec(self.spec)

    def lineage(self) -> Lineage:
        """The plans that this run had, the current one last."""
        plan = Plan(self.resolved_spec(), endpoint=self.endpoint, model=self.model)
        earlier = [each.era() for each in self.earlier]
        return Lineage(
            plan,
            earlier,
            first_segment=self.first_segment,
            keeps_stale=self.keeps_stale,
            regenerated=self.regenerated,
        )

    def asks_as(self, other: Manifest) -> bool:
        """Whether both mean the same tasks."""
        mine = self.grid_fingerprint, self.generation_fingerprint
        return mine == (other.grid_fingerprint, other.generation_fingerprint)

    def followed_by(self, fresh: Manifest, next_segment: int) -> Manifest:
        """`fresh` as what this run is from now on; where it asks for other tasks, from `next_segment` on.

        `next_segment` is one past the journal's last. A plan that no segment was written under is forgotten.
        """
        earlier, first_segment = self.earlier, self.first_segment
        if not self.asks_as(fresh):
            if next_segment > first_segment:
                earlier = [*earlier, EarlierPlan(self.spec, self.endpoint, self.model, first_segment)]
            first_segment = next_segment
        return replace(
            fresh,
            created_at=self.created_at,
            earlier=earlier,
            first_segment=first_segment,
            keeps_stale=self.keeps_stale,
            regenerated=self.regenerated,
        )


def write_manifest(folder: RunFolder, manifest: Manifest) -> None:
    """Publish `manifest` in `folder`, atomically."""
    publish(folder.manifest, codec.dumps_pretty(at_home(asdict(manifest), None)))


def at_home(data: dict[str, Any], folder: RunFolder | None) -> dict[str, Any]:
    """A manifest's data whose specs say in which folder their sources are kept; None: that is left out.

    On disk it isn't said: a run's folder may be moved.
    """
    earlier = data.get("earlier")
    for each in (data, *(earlier if isinstance(earlier, list) else ())):
        spec = each.get("spec") if isinstance(each, dict) else None
        if isinstance(spec, dict) and isinstance(source := spec.get("source"), dict):
            here = {} if folder is None else {"home": str(folder.sources.absolute())}
            spec["source"] = {name: value for name, value in source.items() if name != "home"} | here
    return data


def _why_not(raw: bytes, error: Exception) -> str:
    if not raw.strip(b"\0 \t\r\n"):
        return "it is empty"
    return str(error) if isinstance(error, ValueError) else "it holds no schema_version"


def read_manifest(folder: RunFolder) -> Manifest:
    """The manifest of `folder`.

    Raises RunFolderError when it can't be read or another version wrote it, DamageError when it is no manifest at all.
    """
    try:
        raw = own_bytes(folder.manifest)
        data = codec.loads(raw)
        found = data["schema_version"]
    except OSError as error:
        raise RunFolderError(f"{str(folder.manifest)!r} can't be read: {error.strerror}", fix=ASK_THE_OWNER) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(
            f"{str(folder.manifest)!r} is not a manifest: {_why_not(raw, error)}",
            fix="put back a copy of the file; else copy what is readable to a new run: "
            f"herogen-async recover {folder.argument}",
        ) from error
    if found != SCHEMA_VERSION:
        raise RunFolderError(
            f"{str(folder.path)!r} was written with run format {found!r}; this version reads {SCHEMA_VERSION}",
            fix="use the version of herogen-async that wrote it, or start a new run with --run NAME",
        )
    try:
        # As JSON: strict about types, and keys that a later version of the same format may have added are passed over.
        data = at_home({"settings": None, **data}, folder)
        return _adapter().validate_json(codec.dumps(data), strict=True)
    except ValidationError as error:
        raise DamageError(
            f"{str(folder.manifest)!r} is not a complete manifest: {_first_fault(error)}",
            fix="put back a copy of the file, or start a new run with --run NAME",
        ) from error


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def manifest_of_data(data: dict[str, Any]) -> Manifest:
    """The manifest that another process has as data, of this very version. Raises ValueError."""
    return _adapter().validate_json(codec.dumps(data), strict=True)


def package_versions() -> dict[str, str]:
    """Versions of what shaped the run: Python, this package, and the packages under it that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = _version_of(name)
        except PackageNotFoundError:
            continue
    return found


def _whole_spec(data: dict[str, Any]) -> Spec:
    try:
        return Spec(**data)
    except SpecError as error:
        raise DamageError(
            f"the spec in the run's manifest.json is damaged: {error.message}",
            fix="put back a copy of that file; or try herogen-async recover, which can often rebuild it",
        ) from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{place!r} is missing"
    return f"{place!r} is {repr(fault['input'])[:_SHOWN]}: {fault['msg']}"
