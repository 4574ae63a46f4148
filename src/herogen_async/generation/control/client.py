"""The other side: ask a run that is at work, and wait for its reply."""

from __future__ import annotations

import socket
import stat
from typing import Any

from herogen_async.core.errors import HerogenError, RunFolderError
from herogen_async.generation.control.protocol import MOST_REPLY, Command, result_of
from herogen_async.generation.control.socket_path import address
from herogen_async.generation.run_folder import RunFolder, is_held, read_lock

REPLY_TIMEOUT_S = 10.0  # a run that is busy syncing a slow disk, or with a hundred thousand tasks, answers within that


def ask(folder: RunFolder, command: Command, *, timeout_s: float = REPLY_TIMEOUT_S) -> dict[str, Any]:
    """What the run in `folder` replies to `command`; blocks for `timeout_s` seconds at most between two signs of life.

    Raises InputError with the run's reason when it refuses, RunFolderError when nobody can be asked.
    """
    try:
        if not stat.S_ISSOCK(folder.control.lstat().st_mode):  # a link would lead to somebody else's
            raise RunFolderError(
                f"{str(folder.control)!r} is not a socket", fix="remove it: the next start of the run makes one"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            with address(folder) as where:
                connection.connect(where)
            connection.sendall(command.line())
            reply = _line(connection)
    except OSError as error:
        raise _unreachable(folder, error, timeout_s) from error
    if not reply:
        raise RunFolderError(
            f"the run in {str(folder.path)!r} ended before it replied",
            fix=f"herogen-async status {folder.argument}",
        )
    return result_of(reply)


def _line(connection: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n") and len(said) < MOST_REPLY:
        part = connection.recv(MOST_REPLY)
        if not part:
            return b""
        said += part
    return said


def _unreachable(folder: RunFolder, error: OSError, timeout_s: float) -> HerogenError:
    where, name = repr(str(folder.path)), folder.argument
    if isinstance(error, PermissionError):
        return RunFolderError(f"the run in {where} belongs to another user", fix="only its owner can control it")
    if isinstance(error, TimeoutError | BlockingIOError):
        return RunFolderError(
            f"the run in {where} gave no reply within {timeout_s:g} s",
            fix=f"it may be stopped or overloaded: check herogen-async status {name}, then try again",
        )
    if not is_held(folder):
        return RunFolderError(
            f"no process is working on the run in {where}", fix=f"continue it: herogen-async resume {name}"
        )
    if isinstance(error, FileNotFoundError | ConnectionError):
        holder = read_lock(folder).holder
        return RunFolderError(
            f"process {holder.get('pid', '?')} on {holder.get('host', '?')} is working on the run in {where}, "
            "but can't be controlled now: it is starting or ending, or its folder doesn't support sockets",
            fix="try again in a moment, on that machine",
        )
    return RunFolderError(f"the run in {where} can't be controlled: {error.strerror or error}")
