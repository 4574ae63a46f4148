"""One of the processes that `verify` divides a large run among: `python -m` with the run's folder.

Standard input has all blocks that it is to look at, as one JSON document; standard output gets each in turn: a line of
JSON, then the indices of its lines. It ends, with nothing said, where it can't go on: `verify` then looks itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from herogen_async.core import codec
from herogen_async.core.errors import HerogenError
from herogen_async.generation.journal.own_process import lineage_of
from herogen_async.generation.journal.verify.usual_lines import block_at


def main() -> int:
    """Look at all of them. 0 when that is done."""
    given = codec.loads(sys.stdin.buffer.read())
    out = sys.stdout.buffer
    try:
        lineage = lineage_of(given)
        if lineage is None:
            return 1
        for name, era, start, stop in given["blocks"]:
            block = block_at(Path(given["folder"], name), lineage, era, start, stop)
            is_usual = block.indices is not None
            said = {"start": block.start, "stop": block.stop, "lines": block.lines, "is_usual": is_usual}
            skipped = [[line, by] for line, by in (block.skipped or {}).items()] if is_usual else []
            out.write(codec.dumps({**said, "skipped": skipped}) + b"\n")
            out.write(b"" if block.indices is None else block.indices.tobytes())
            out.flush()
    except (OSError, HerogenError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
