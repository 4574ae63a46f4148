"""Producer, lane (feed, workers, gate, calls), journal side, shutdown: the only room that starts tasks."""

from herogen_async.generation.engine.counters import ColumnCounts, Counters, Straggler
from herogen_async.generation.engine.engine import Engine
from herogen_async.generation.engine.gate import Gate
from herogen_async.generation.engine.inflight_calls import Deadline
from herogen_async.generation.engine.lane import Lane
from herogen_async.generation.engine.process_tuning import allow_open_files, tuned_for_throughput
from herogen_async.generation.engine.sink import Sink
from herogen_async.generation.engine.stopped import Stopped

__all__ = [
    "ColumnCounts",
    "Counters",
    "Deadline",
    "Engine",
    "Gate",
    "Lane",
    "Sink",
    "Stopped",
    "Straggler",
    "allow_open_files",
    "tuned_for_throughput",
]
