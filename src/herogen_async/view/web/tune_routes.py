"""The tune view's addresses: the fine-tunes of a run as they stand, and what their models were found to answer.

| address | answers |
|---|---|
| `GET /api/run/RUN/tune` | each fine-tune: state, losses, events, what it made; the run's marks and data set |
| `GET /api/run/RUN/tune/NUMBER/evaluation` | its latest evaluation, with the answers side by side |

Nothing is started and nothing written: what starts a fine-tune is a command, which the page shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from herogen_async.core import codec
from herogen_async.core.clock import MonotonicClock
from herogen_async.core.errors import HerogenError, InputError
from herogen_async.data.row_marks import RowMarks
from herogen_async.generation.run_folder import RunFolder, own_bytes
from herogen_async.tune.evaluation import KeptEvaluation, kept_evaluation
from herogen_async.tune.evaluation.evaluate import FIGURES_FILE, FOLDER
from herogen_async.tune.finetune.finetune_looks import FinetuneLook, FinetuneLooks
from herogen_async.tune.finetune.model_registry import tuned_in, without_changed_rows
from herogen_async.view.web.json_requests import json_answer
from herogen_async.view.web.open_run import OpenRun
from herogen_async.view.web.run_list import RunList

_RECIPE = "recipe.json"


def tune_routes(runs: RunList) -> list[Route]:
    """The addresses of the tune view."""
    looked: WeakKeyDictionary[OpenRun, _TunedRun] = WeakKeyDictionary()

    def tuned_run(request: Request) -> _TunedRun:
        run = runs.open(request.path_params["run"])
        return looked.setdefault(run, _TunedRun(run.folder))

    async def told(request: Request) -> Response:
        return json_answer(await asyncio.to_thread(lambda: tuned_run(request).told()))

    async def evaluation(request: Request) -> Response:
        number = request.path_params["number"]
        return json_answer(await asyncio.to_thread(lambda: tuned_run(request).evaluation(number)))

    return [
        Route("/api/run/{run}/tune", told),
        Route("/api/run/{run}/tune/{number}/evaluation", evaluation),
    ]


class _TunedRun:
    """What the page shows of one run's fine-tunes. Blocking, one call at a time."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._looks = FinetuneLooks(folder, folder.argument, os.environ, MonotonicClock())
        self._marks = RowMarks(folder)

    def told(self) -> dict[str, Any]:
        """All of them, and what they are made of."""
        with self._lock:
            looks = asyncio.run(self._looks.look())  # a loop of its own: the page's waits for no file and no service
            with contextlib.suppress(HerogenError):  # what is wrong with the marks, the rows say
                self._marks.read()
            return {
                "argument": self._folder.argument,
                "marks": len(self._marks),
                "dataset": _dataset(self._folder),
                "finetunes": [_told(each) for each in looks],
            }

    def evaluation(self, number: str) -> dict[str, Any]:
        """That of one fine-tune. Raises InputError."""
        folder = self._folder.path / "finetune" / number
        if number not in {each.name for each in _folders(self._folder)} or (tuned := tuned_in(folder)) is None:
            raise InputError(f"no fine-tune {number} has made a model", fix="reload the page: the run may have changed")
        found = kept_evaluation(without_changed_rows(tuned)[0])
        return {"evaluation": None if found is None else _evaluation(found)}


def _folders(folder: RunFolder) -> list[Path]:
    try:
        return [each for each in (folder.path / "finetune").iterdir() if each.is_dir()]
    except OSError:
        return []


def _told(look: FinetuneLook) -> dict[str, Any]:
    points = look.points
    return {
        "number": look.number,
        **look.result.as_dict(),
        "settings": {name: value for name, value in look.settings.items() if value is not None},
        "files": {role: {"rows": each.get("rows")} for role, each in look.files.items()},
        "again": look.again,
        "losses": {
            "step": [point["step"] for point in points],
            "train": [point.get("train_loss") for point in points],
            "valid": [point.get("valid_loss") for point in points],
        },
        "total_steps": next((point["total_steps"] for point in reversed(points) if "total_steps" in point), None),
        "events": [{"at": each.created_at, "message": each.message, "level": each.level} for each in look.events],
        "begun_at": look.begun_at,
        "to_go_s": look.to_go_s,
        "is_watched": look.is_watched,
        "is_going": look.is_going,
        "is_unrecorded": look.is_unrecorded,
        "unreached": None if look.unreached is None else _refusal(look.unreached),
        "evaluated_at": _changed_at(look.result.folder / FOLDER / FIGURES_FILE),
    }


def _refusal(error: HerogenError) -> dict[str, str | None]:
    return {"error": error.message, "fix": error.fix}


def _dataset(folder: RunFolder) -> Mapping[str, Any] | None:
    """What was assembled last; `is_older` than answers or marks that came since."""
    try:
        known = codec.loads(own_bytes(folder.dataset / _RECIPE))
        counts = known.get("counts", {})
        told = {
            "rows": counts.get("written"),
            "format": known.get("format"),
            "split": (known.get("split") or {}).get("rows"),
            "has_marks": "marks" in counts,
        }
    except (OSError, ValueError, AttributeError):
        return None
    at = _changed_at(folder.dataset / _RECIPE) or 0.0
    newer = [_changed_at(each) or 0.0 for each in (*folder.segments(), folder.marks)]
    return {**told, "at": at, "is_older": max(newer, default=0.0) > at}


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _evaluation(kept: KeptEvaluation) -> dict[str, Any]:
    evaluation = kept.evaluation
    base = evaluation.base
    names = [*evaluation.tuned.shares, *evaluation.tuned.keeps]
    sides = {"base": base, "tuned": evaluation.tuned}
    shares = [
        {
            "name": name if name in evaluation.tuned.shares else f"keeps to the {name}",
            **{
                side: share.as_dict()
                for side, each in sides.items()
                if each is not None and (share := each.shares.get(name) or each.keeps.get(name)) is not None
            },
        }
        for name in names
    ]
    shown = {each["name"] for each in shares}
    return {
        "at": kept.at,
        "headline": evaluation.headline,
        "models": {"tuned": evaluation.tuned.model, "base": None if base is None else base.model},
        "shares": shares,
        "figures": [row for row in evaluation.table() if row[0].strip() not in shown],
        "note": evaluation.note,
        "max_tokens": evaluation.max_tokens,
        "samples": [dict(each) for each in kept.samples],
    }
