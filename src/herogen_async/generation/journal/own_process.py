"""Another Python for reading a journal beside this one: it is told what to do on its standard input."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herogen_async.core import codec
from herogen_async.generation.endpoint.child_environment import without_keys
from herogen_async.generation.journal.sidecar.sidecar import plan_prints
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.manifest import read_manifest
from herogen_async.specs.plan import Lineage

_PYTHON = [sys.executable or "python", "-P", "-m"]


def own_process(module: str) -> subprocess.Popen[bytes]:
    """It runs that module. Raises OSError when it can't be started."""
    return subprocess.Popen(  # noqa: S603 - modules of this package
        [*_PYTHON, module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=without_keys(os.environ),
        start_new_session=True,  # Ctrl-C in the terminal goes to the whole group
    )


def instructions(folder: Path, lineage: Lineage, **more: Any) -> bytes:
    """What it is told: which run, the plans that this process knows of it, and `more`."""
    return codec.dumps({"folder": str(folder.resolve()), "plans": _plans(lineage), **more})


def tell(child: subprocess.Popen[bytes], given: bytes) -> None:
    """All that it is told; one that has ended hears nothing."""
    if child.stdin is not None:
        with contextlib.suppress(OSError):
            child.stdin.write(given)
        with contextlib.suppress(OSError):
            child.stdin.close()


def lineage_of(given: Mapping[str, Any]) -> Lineage | None:
    """That of the run of such instructions; None where its plans are others by now. Raises HerogenError."""
    lineage = read_manifest(RunFolder(Path(given["folder"]))).lineage()
    return lineage if given["plans"] == _plans(lineage) else None


def _plans(lineage: Lineage) -> list[list[str]]:
    return [list(plan_prints(era.plan)) for era in lineage.eras]
