"""What a run is: everything that `resume` needs, and never a secret."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from herogen_async import codec
from herogen_async.errors import DamageError, RunFolderError
from herogen_async.journal.layout import RunFolder
from herogen_async.journal.publish import publish
from herogen_async.limits import Limits
from herogen_async.spec import Spec

SCHEMA_VERSION = 1
_SHOWN = 80  # characters of a wrong value
_PACKAGES = ("herogen-async", "openai", "pyreqwest", "httptools", "orjson", "xllamacpp")


Durability = Literal["process", "periodic", "power"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is driven; none of it changes an answer, all of it may change between two starts.

    `concurrency` is a number, or `auto`. The limits are those of `limits.Limits`. `window_s` is the window that the
    server counts in. A call may take `timeout_s`, and less where the latencies are short, but never less than
    `min_timeout_s`. `durability` says what an answer has survived when it is reported. A row may take `row_timeout_s`,
    with all its attempts, and a session `run_timeout_s`. `budget_usd` is what the run may cost, `price` is `IN,OUT`,
    USD for a million tokens.
    """

    concurrency: int | Literal["auto"] = 16
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    tpd: float | None = None
    window_s: float | None = None
    timeout_s: float = 600.0
    min_timeout_s: float = 30.0
    max_attempts: int = 8
    limit: int | None = None
    durability: Durability = "periodic"
    row_timeout_s: float | None = None
    run_timeout_s: float | None = None
    budget_usd: float | None = None
    price: str | None = None

    def limits(self) -> Limits:
        """What the user says is permitted."""
        return Limits(
            rpm=self.rpm,
            tpm=self.tpm,
            input_tpm=self.input_tpm,
            output_tpm=self.output_tpm,
            rpd=self.rpd,
            tpd=self.tpd,
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """`spec` is the resolved spec as plain data; for the embedded model `base_url` is None and `weights` is set."""

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
    schema_version: int = SCHEMA_VERSION

    def resolved_spec(self) -> Spec:
        """The spec that this run was started with."""
        return Spec(**self.spec)


def write_manifest(folder: RunFolder, manifest: Manifest) -> None:
    """Publish `manifest` in `folder`, atomically."""
    publish(folder.manifest, codec.dumps_pretty(asdict(manifest)))


def read_manifest(folder: RunFolder) -> Manifest:
    """The manifest of `folder`.

    Raises RunFolderError when it can't be read or another version wrote it, DamageError when it is no manifest at all.
    """
    try:
        data = codec.loads(folder.manifest.read_bytes())
        found = data["schema_version"]
    except OSError as error:
        raise RunFolderError(f"{str(folder.manifest)!r} can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamageError(f"{str(folder.manifest)!r} is not a manifest: {error}") from error
    if found != SCHEMA_VERSION:
        raise RunFolderError(
            f"{str(folder.path)!r} was written with run format {found!r}; this version reads {SCHEMA_VERSION}",
            fix="use the version of herogen-async that wrote it, or start a new run with --run NAME",
        )
    try:
        # As JSON: strict about types, and keys that a later version of the same format may have added are passed over.
        return TypeAdapter(Manifest).validate_json(codec.dumps({"settings": None, **data}), strict=True)
    except ValidationError as error:
        raise DamageError(
            f"{str(folder.manifest)!r} is no whole manifest: {_first_fault(error)}",
            fix="put back a copy of the file, or start a new run with --run NAME",
        ) from error


def package_versions() -> dict[str, str]:
    """Versions of what shaped the run: Python, this package, and the packages under it that are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{place!r} is missing"
    return f"{place!r} is {repr(fault['input'])[:_SHOWN]}: {fault['msg']}"
