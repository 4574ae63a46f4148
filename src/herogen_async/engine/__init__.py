"""Producer, queue, worker pool, retry heap, shutdown: the only room that starts tasks."""

from herogen_async.engine.engine import Deadline, Engine, Stopped
from herogen_async.engine.gate import Gate
from herogen_async.engine.progress import Progress
from herogen_async.engine.tuning import allow_open_files, tuned_for_throughput

__all__ = ["Deadline", "Engine", "Gate", "Progress", "Stopped", "allow_open_files", "tuned_for_throughput"]
