"""The trainer's process: `python -P trainer.py FOLDER LOCK`, where LOCK is the descriptor of FOLDER's lock.

It leaves its parent before it does anything else, so that it outlives it, and is nobody's zombie.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def detach() -> None:
    """Go on as a child that nobody waits for."""
    if os.fork():
        os._exit(0)


def main() -> None:
    """Detach, and train."""
    detach()
    from herogen_async.tune.finetune.local.trainer_run import run_trainer  # noqa: PLC0415 - half a second that its parent need not wait

    run_trainer(Path(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    main()
