"""The tune view's addresses: the fine-tunes of a run as they stand, and what their models were found to answer.

| address | answers |
|---|---|
| `GET /api/run/RUN/tune` | each fine-tune: state, losses, events, what it made; the run's marks and data set |
| `GET /api/run/RUN/tune/NUMBER/evaluation` | its latest evaluation, with the answers side by side |
| `POST /api/run/RUN/tune/start` | start a command that was shown: its `name`, and the `command` as it was |

Looking starts nothing and writes nothing.
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
from herogen_async.generation.endpoint.finish_reasons import is_cut
from herogen_async.generation.intents import numbered_folders
from herogen_async.generation.run_folder import RunFolder, own_bytes
from herogen_async.tune.evaluation import KeptEvaluation, kept_evaluation
from herogen_async.tune.evaluation.evaluate import FIGURES_FILE, FOLDER
from herogen_async.tune.finetune.finetune_looks import FinetuneLook, FinetuneLooks
from herogen_async.tune.finetune.finetune_result import NOT_STARTED
from herogen_async.tune.finetune.model_registry import tuned_in, without_changed_rows
from herogen_async.tune.finetune.records import INTERRUPTED
from herogen_async.tune.options import LOCAL
from herogen_async.view.web.json_requests import json_answer, json_body, told_refusal
from herogen_async.view.web.open_run import OpenRun
from herogen_async.view.web.run_list import RunList
from herogen_async.view.web.tune_commands import ASSEMBLE, EVALUATE, FINETUNE, StartedCommand, argument_of, way_commands

_RECIPE = "recipe.json"
_MOST_BODY = 1 << 14  # bytes of a command's name and words


def tune_routes(runs: RunList) -> list[Route]:
    """The addresses of the tune view."""
    looked: WeakKeyDictionary[OpenRun, _TunedRun] = WeakKeyDictionary()
    started: dict[str, StartedCommand] = {}

    def tuned_run(request: Request) -> _TunedRun:
        run = runs.open(request.path_params["run"])
        return looked.get(run) or looked.setdefault(run, _TunedRun(run.folder))

    def look(request: Request) -> dict[str, Any]:
        run = runs.open(request.path_params["run"])
        # While the journal is read for the first time, what it holds is not known yet.
        reasons = run.about()["finish_reasons"] if run.pages.is_ready else {}
        return tuned_run(request).told(reasons)

    def command_of(request: Request) -> StartedCommand:
        return started.setdefault(request.path_params["run"], StartedCommand())

    async def told(request: Request) -> Response:
        return json_answer({**await asyncio.to_thread(look, request), "started": command_of(request).told()})

    async def start(request: Request) -> Response:
        said = await json_body(request, _MOST_BODY)
        shown = await asyncio.to_thread(look, request)
        name, command = said.get("name"), said.get("command")
        if name not in shown["starts"]:
            raise InputError("that command is not started from the page", fix="type it in a terminal")
        if shown["commands"][name] != command:
            raise InputError("the command has changed since it was shown", fix="look at it again, then start it")
        await command_of(request).start(command)
        return json_answer({"started": command_of(request).told()})

    async def evaluation(request: Request) -> Response:
        number = request.path_params["number"]
        return json_answer(await asyncio.to_thread(lambda: tuned_run(request).evaluation(number)))

    return [
        Route("/api/run/{run}/tune", told),
        Route("/api/run/{run}/tune/start", start, methods=["POST"]),
        Route("/api/run/{run}/tune/{number}/evaluation", evaluation),
    ]


class _TunedRun:
    """What the page shows of one run's fine-tunes. Blocking, one call at a time."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._looks = FinetuneLooks(folder, argument_of(folder), os.environ, MonotonicClock())
        self._marks = RowMarks(folder)

    def told(self, reasons: Mapping[str, int]) -> dict[str, Any]:
        """All of them, and what they are made of; `reasons` are how often answers ended for each finish reason."""
        with self._lock:
            looks = asyncio.run(self._looks.look())  # a loop of its own: the page's waits for no file and no service
            with contextlib.suppress(HerogenError):  # what is wrong with the marks, the rows say
                self._marks.read()
            latest = looks[0] if looks else None
            stands = latest is not None and (latest.is_going or latest.result.status in (INTERRUPTED, NOT_STARTED))
            tuned = next((each for each in looks if each.result.tuned is not None), None)
            is_local = tuned is not None and tuned.result.backend == LOCAL
            commands = way_commands(
                self._folder,
                rows=sum(reasons.values()),
                cut=sum(count for reason, count in reasons.items() if is_cut(reason)),
                marks=len(self._marks),
                again=latest.again if latest is not None and stands else None,
                is_new=latest is not None,
                is_local=is_local,
            )
            dataset = _dataset(self._folder)
            # Going on with the latest is the bare command: where that one is at a service, it may cost.
            is_elsewhere = latest is not None and stands and latest.result.backend != LOCAL
            may_tune = dataset is not None and not (latest is not None and latest.is_going) and not is_elsewhere
            argument = argument_of(self._folder)
            starts = [ASSEMBLE, *([FINETUNE] if may_tune else []), *([EVALUATE] if is_local else [])]
            return {
                "argument": argument,
                "marks": len(self._marks),
                "dataset": dataset,
                "commands": commands,
                # A name with control characters is quoted as shells alone read it.
                "starts": [] if argument.startswith("$'") else starts,
                "finetunes": [_told(each) for each in looks],
            }

    def evaluation(self, number: str) -> dict[str, Any]:
        """That of one fine-tune. Raises InputError."""
        folder = next((each for each in numbered_folders(self._folder.path / "finetune") if each.name == number), None)
        if folder is None or (tuned := tuned_in(folder)) is None:
            raise InputError(f"no fine-tune {number} has made a model", fix="reload the page: the run may have changed")
        found = kept_evaluation(without_changed_rows(tuned)[0])
        return {"evaluation": None if found is None else _evaluation(found)}


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
        "unreached": None if look.unreached is None else told_refusal(look.unreached),
        "evaluated_at": _changed_at(look.result.folder / FOLDER / FIGURES_FILE),
    }


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
