"""The child that is pip: `python -P pip_subprocess.py download ...` does what `python -m pip download ...` does.

It ends when its standard input closes or its parent is gone, whatever killed the parent: pip alone would go on with its
download for nobody. What it leaves lying is in the parent's working folder, which the next fetch removes.

Imports nothing of this package, so that it can be run as a file.
"""

from __future__ import annotations

import os
import runpy
import select
import threading

_PARENT_LOOK_S = 2.0


def main() -> None:
    """Be pip until the parent is gone."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def _end_with_parent(parent: int) -> None:
    """The pipe's end is the signal; the parent's id is asked too, as a fork of the parent could hold the pipe open."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _PARENT_LOOK_S)
        if readable and not os.read(0, 4096):
            break
    os._exit(1)


if __name__ == "__main__":
    main()
