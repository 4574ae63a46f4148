"""The run's side of the socket. No task and no thread: a command is carried out the moment its line is there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from herogen_async.core.errors import HerogenError
from herogen_async.generation.control.protocol import MOST_COMMAND, Command, command_from, failure, success
from herogen_async.generation.control.socket_path import bound_socket
from herogen_async.generation.run_folder import RunFolder

COMMAND_TIMEOUT_S = 5.0  # for the line; a client of ours needs a millisecond
SOCKET_RETRY_S = 1.0
MOST_CLIENTS = 8  # at once; each holds a descriptor of the run's

CommandReply = Callable[[Command], Mapping[str, Any]]


@contextlib.asynccontextmanager
async def controlled(folder: RunFolder, answer: CommandReply, on_notice: Callable[[str], None]) -> AsyncIterator[None]:
    """Let the run in `folder` be controlled while the block lasts. For the holder of the run's lock.

    `answer` carries a command out, on the loop's thread, and says what to reply; a HerogenError that it raises is the
    reply. Where there can be no socket, `on_notice` is told so, and that is all.
    """
    try:
        door = _Door(bound_socket(folder), answer)
    except OSError as error:
        on_notice(f"`herogen-async ctl` can't control this run: no socket in its folder: {error.strerror or error}.")
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.control.unlink()
        door.close()


class _Door:
    """The socket, and the clients that there are. On bare sockets: a transport of the loop's takes turns to close."""

    def __init__(self, listener: socket.socket, answer: CommandReply) -> None:
        self.loop = asyncio.get_running_loop()
        self._answer = answer
        self._listener = listener
        self._clients: set[_Client] = set()
        listener.setblocking(False)
        listener.listen(MOST_CLIENTS)
        self._retry: asyncio.TimerHandle | None = None
        self._open()

    def reply_to(self, line: bytes) -> bytes:
        """Do what `line` says."""
        try:
            return success(self._answer(command_from(line)))
        except HerogenError as error:
            return failure(error.message, error.fix)
        except Exception as bug:  # a mistake in here must not end the run
            return failure(f"{type(bug).__name__}, a bug in this program")

    def left(self, client: _Client) -> None:
        self._clients.discard(client)

    def close(self) -> None:
        """Send everybody away."""
        if self._retry is not None:
            self._retry.cancel()
        self.loop.remove_reader(self._listener)
        self._listener.close()
        for client in list(self._clients):
            client.close()

    def _open(self) -> None:
        self.loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # it went away again
            return
        except OSError:  # no descriptor is left for it: asked at once again, it would be the same
            self.loop.remove_reader(self._listener)
            self._retry = self.loop.call_later(SOCKET_RETRY_S, self._open)
            return
        client = _Client(connection, self)
        self._clients.add(client)
        if len(self._clients) > MOST_CLIENTS:
            client.reply(failure(f"{MOST_CLIENTS} other clients are connected to this run", "try again in a moment"))


class _Client:
    """One connection: one line is read, one is written, and that is it."""

    def __init__(self, connection: socket.socket, door: _Door) -> None:
        self._connection = connection
        self._door = door
        self._said = b""
        connection.setblocking(False)
        door.loop.add_reader(connection, self._read)
        late = failure(f"no complete command within {COMMAND_TIMEOUT_S:g} s")
        self._timer = door.loop.call_later(COMMAND_TIMEOUT_S, self.reply, late)

    def reply(self, line: bytes) -> None:
        """Say it and close. The kernel's buffer takes more than the longest reply: nobody is waited for."""
        with contextlib.suppress(OSError):
            self._connection.send(line)
        self.close()

    def close(self) -> None:
        self._timer.cancel()
        self._door.loop.remove_reader(self._connection)
        self._connection.close()
        self._door.left(self)

    def _read(self) -> None:
        try:
            said = self._connection.recv(MOST_COMMAND)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._said += said
        line, newline, _ = self._said.partition(b"\n")
        if len(line) >= MOST_COMMAND:
            self.reply(failure(f"a command is at most {MOST_COMMAND:,} bytes"))
        elif newline:
            self.reply(self._door.reply_to(line))
        elif not said:
            self.reply(failure("the command ended before its newline"))
