"""A process that ends at any step a test names, with a disk that keeps what it had written by then."""

from __future__ import annotations

from dataclasses import dataclass

from herogen_async.generation.run_folder.disk import RealDisk


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Power:
    """Counts what a process does, and ends it at its step `ends_at`."""

    ends_at: int | None = None
    steps: int = 0
    is_off: bool = False

    def step(self) -> None:
        if self.is_off:
            raise OSError("the process is gone")
        self.steps += 1
        if self.steps == self.ends_at:
            self.is_off = True
            raise Killed


class MortalDisk(RealDisk):
    """The real disk, for a process with `power`; a write may be torn by its end."""

    def __init__(self, power: Power) -> None:
        self._power = power

    def write(self, file: int, data: bytes | memoryview, offset: int) -> int:
        self._power.step()
        try:
            self._power.step()
        except Killed:
            super().write(file, data[: len(data) // 2], offset)
            raise
        return super().write(file, data, offset)

    def sync(self, file: int) -> None:
        self._power.step()
        super().sync(file)
        self._power.step()

    def cut(self, file: int, size: int) -> None:
        self._power.step()
        super().cut(file, size)
