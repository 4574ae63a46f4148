"""The process that writes the sidecars of a run at work: `python -m` with its folder and segments, as JSON, on stdin.

It is nicer than the run, says nothing, and ends at the first thing that it does not expect, or when the run has ended:
a sidecar that isn't there costs a reading, and nothing else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.sidecar.build import sidecar_from_lines
from herogen_async.generation.journal.sidecar.sidecar import plan_prints, sidecar_at
from herogen_async.generation.run_folder import RunFolder
from herogen_async.generation.run_folder.disk import REAL, Disk, put
from herogen_async.generation.run_folder.layout import sidecar_of
from herogen_async.generation.run_folder.manifest import read_manifest
from herogen_async.specs.plan import Plan

_NICER = 10


def write_sidecar(segment: Path, plan: Plan, disk: Disk = REAL) -> bool:
    """See to it that a sealed segment has a sidecar; False where its lines don't give one.

    Raises OSError, RunFolderError, DamageError when that can't be.
    """
    if sidecar_at(segment, plan) is not None:
        return True
    sidecar = sidecar_from_lines(segment, plan)
    if sidecar is None:
        return False
    put(disk, sidecar_of(segment), sidecar.in_bytes())
    return True


def main() -> int:
    """Write those that are missing. 0 when that is done."""
    parent = os.getppid()
    os.nice(_NICER)
    given = codec.loads(sys.stdin.buffer.read())
    folder = RunFolder(Path(given["folder"]))
    try:
        lineage = read_manifest(folder).lineage()
        if given["plans"] != [list(plan_prints(era.plan)) for era in lineage.eras]:
            return 1
        for number in given["segments"]:
            if os.getppid() != parent:
                return 1
            write_sidecar(folder.segment(number), lineage.eras[lineage.era(number)].plan)
    except (OSError, HerogenError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
