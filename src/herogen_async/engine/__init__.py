"""Producer, queue, worker pool, retry heap, shutdown: the only room that starts tasks."""

from herogen_async.engine.engine import Engine, Stopped
from herogen_async.engine.gate import Gate
from herogen_async.engine.progress import Progress, Straggler
from herogen_async.engine.tuning import allow_open_files, tuned_for_throughput
from herogen_async.engine.watch import Deadline

__all__ = ["Deadline", "Engine", "Gate", "Progress", "Stopped", "Straggler", "allow_open_files", "tuned_for_throughput"]
