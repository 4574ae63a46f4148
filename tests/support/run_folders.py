"""Run folders with answers in them, written by the journal's own code and by no engine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from herogen_async.generation.endpoint import Completion
from herogen_async.generation.journal import failure_line, row_line
from herogen_async.generation.run_folder import Manifest, RunFolder, write_manifest
from herogen_async.generation.settings import Settings
from herogen_async.specs.plan import Plan
from herogen_async.specs.spec import Spec

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MODEL = "model-1"


class WrittenRun:
    """A run in `path` whose answers a test chooses."""

    def __init__(
        self,
        path: Path,
        spec: Spec | None = None,
        *,
        settings: Settings | None = None,
        endpoint: str = "completions",
        model: str = MODEL,
        base_url: str | None = "http://127.0.0.1:1/v1",
    ) -> None:
        self.path = path
        self.folder = RunFolder(path)
        self.folder.create()
        self.spec = spec or Spec.builtin()
        self.settings = settings or Settings()
        self.plan = Plan(self.spec, endpoint=endpoint, model=model)
        self._endpoint, self._model, self._base_url = endpoint, model, base_url
        self.describe(self.spec)

    def describe(self, spec: Spec) -> None:
        """Write the manifest, for the plan's questions and this spec."""
        write_manifest(
            self.folder,
            Manifest(
                spec=spec.as_dict(),
                grid_fingerprint=self.plan.grid_fingerprint,
                generation_fingerprint=self.plan.generation_fingerprint,
                endpoint=self._endpoint,
                model=self._model,
                base_url=self._base_url,
                created_at=AT.isoformat(),
                settings=self.settings,
            ),
        )

    def answer(self, index: int, text: str, finish_reason: str | None = "stop", **changes: Any) -> bytes:
        """The journal's line of one answer."""
        usage = changes.pop("usage", {"prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18})
        model, request_id = changes.pop("model", MODEL), changes.pop("request_id", "r")
        completion = Completion(text, finish_reason, model, usage, request_id)
        completion.reasoning, completion.extra = changes.pop("reasoning", None), changes.pop("extra", None)
        plan = changes.pop("plan", self.plan)
        return row_line(plan.call(index), completion, attempts=1, latency_ms=12.34, at=AT)

    def failure(self, index: int, kind: str, message: str = "no", **more: Any) -> bytes:
        """The failures' line of one task."""
        quarantined = more.pop("quarantined", None)
        attempt = {"kind": kind, "message": message, "status": 500, "request_id": None, **more}
        return failure_line(self.plan.call(index), [attempt], at=AT, quarantined=quarantined)

    def write(self, lines: Iterable[bytes], segment: int = 0) -> None:
        """Append answers to a segment."""
        with self.folder.segment(segment).open("ab") as file:
            file.writelines(lines)

    def fail(self, lines: Iterable[bytes]) -> None:
        """Append failures."""
        with self.folder.failures.open("ab") as file:
            file.writelines(lines)
