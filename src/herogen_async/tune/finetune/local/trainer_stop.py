"""How a training ends before its time: it was cancelled, or what was ordered can't be trained."""

from __future__ import annotations

from types import FrameType


class TrainingStopped(BaseException):  # no library may take it for an error of its own
    """Cancelled."""


class Refused(Exception):
    """What was ordered can't be trained; `fix` says what helps."""

    def __init__(self, message: str, fix: str | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class Stop:
    """Whether to stop: at once, but between two steps where there is something to keep (`gently`)."""

    def __init__(self) -> None:
        self.asked = False
        self.gently = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if not self.gently:
            raise TrainingStopped
