"""What the sidecars of a run are to its lines, by processes of their own where there is enough to read.

What none of them has said, because it could not be started or has ended, is looked at here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from herogen_async.core import codec
from herogen_async.core.cores import usable_cores
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.own_process import instructions, own_process, tell
from herogen_async.generation.journal.sidecar.keeper import WORKER
from herogen_async.generation.journal.sidecar.worker import LikeItsLines, compare_sidecar
from herogen_async.generation.journal.verify.block_workers import A_PROCESS_FROM
from herogen_async.generation.run_folder.layout import RunFolder, segment_number, sidecar_of
from herogen_async.specs.plan import Lineage


def compared_sidecars(folder: RunFolder, lineage: Lineage, *, is_alone: bool) -> Iterator[tuple[Path, LikeItsLines]]:
    """Each segment that has one, in order; `is_alone`: without other processes."""
    paths = {segment_number(path): path for path in folder.segments() if sidecar_of(path).exists()}
    count = min(usable_cores(), len(paths), sum(path.stat().st_size for path in paths.values()) // A_PROCESS_FROM)
    found: dict[int, LikeItsLines] = {}
    if count > 1 and not is_alone:
        numbers = list(paths)
        found = _found_by_others(folder, lineage, [numbers[place::count] for place in range(count)])
    for number, path in paths.items():
        if (is_what := found.get(number)) is None:
            try:
                is_what = compare_sidecar(path, lineage.eras[lineage.era(number)].plan)
            except (OSError, HerogenError):  # it is told of the segment itself
                continue
        yield path, is_what


def _found_by_others(folder: RunFolder, lineage: Lineage, shares: list[list[int]]) -> dict[int, LikeItsLines]:
    found: dict[int, LikeItsLines] = {}
    with contextlib.ExitStack() as stack:
        children = []
        for share in shares:
            with contextlib.suppress(OSError):
                child = own_process(WORKER)
                stack.enter_context(child)
                stack.callback(child.kill)
                children.append((child, instructions(folder.path, lineage, segments=share, compares=True)))
        for child, told in children:
            tell(child, told)
        for child, _ in children:
            for line in child.stdout or ():
                with contextlib.suppress(ValueError, TypeError):
                    number, is_what = codec.loads(line)
                    found[number] = is_what
    return found
