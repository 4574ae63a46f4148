"""Producer, queue, worker pool, retry heap, shutdown: the only room that starts tasks."""

from herogen_async.engine.engine import Engine, Stopped
from herogen_async.engine.progress import Progress

__all__ = ["Engine", "Progress", "Stopped"]
