"""The page beside a run: a process of its own serves it, so that the run never waits for it.

1. The run's process only starts it, reads one line from it, and closes a pipe: no thread, no task, nothing a row.
2. It ends with the run's process, however that ends: it reads a pipe that this process holds, and sees its end.
3. It gives way to the run where there are too few cores for both.
4. A terminal's Ctrl-C is the run's alone: it has a session of its own.
"""

from __future__ import annotations

import contextlib
import subprocess

from herogen_async.core import codec
from herogen_async.core.errors import InputError
from herogen_async.generation.run_folder import RunFolder
from herogen_async.view.web.folder_process import started

_SERVER = "herogen_async.view.web.beside_server"
_ENDS_WITHIN_S = 4.0  # answers that are under way have two seconds


class PageBeside:
    """Serves the run in `folder`, also before it is there, until `end`. Raises InputError where it can't be started."""

    def __init__(self, folder: RunFolder) -> None:
        self._view = f"herogen-async view {folder.argument}"
        try:
            self._child = started(_SERVER, folder)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def url(self) -> str:
        """Its URL, with the token; waits until it is served. Raises InputError where it can't be."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self._failed("it ended before it had a port")
        said = codec.loads(line)
        if "url" not in said:
            raise self._failed(str(said.get("error")))
        return str(said["url"])

    def wait(self) -> None:
        """Until it has ended."""
        self._child.wait()

    def end(self) -> None:
        """No more is served; what is under way is finished."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._child.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _failed(self, why: str) -> InputError:
        return InputError(f"the page can't be served: {why}", fix=f"run without --view, then try: {self._view}")
