"""What a run keeps of its source: the index, and all that can't be read again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from herogen_async.generation.run_folder.disk import REAL
from herogen_async.generation.run_folder.layout import RunFolder
from herogen_async.generation.run_folder.publish import make_folder, publishing


def keep_source(folder: RunFolder, files: Mapping[str, Path]) -> None:
    """See to it that `files` lie in the folder's sources under these names, durably. Raises OSError.

    A file is linked where it can be: it is never written again, only replaced.
    """
    missing = {name: path for name, path in files.items() if not (folder.sources / name).exists()}
    if not missing:
        return
    make_folder(folder.sources)
    for name, path in missing.items():
        with contextlib.suppress(OSError):
            os.link(path, folder.sources / name)
            continue
        with publishing(folder.sources / name) as target, path.open("rb") as file:
            shutil.copyfileobj(file, target, 1 << 20)
    REAL.sync_names(folder.sources)
