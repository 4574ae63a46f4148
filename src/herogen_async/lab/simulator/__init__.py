"""An OpenAI-compatible server with true limits, latencies and faults: over HTTP, and in virtual time."""

from herogen_async.lab.simulator.completions.virtual import VirtualEndpoint
from herogen_async.lab.simulator.http.serve_until_signal import serve_until_signal
from herogen_async.lab.simulator.http.server import SimulatedServer, serve
from herogen_async.lab.simulator.limits.limiter import LimitDecision, Limiter
from herogen_async.lab.simulator.policy import Answers, Latency, Policy, TuningPolicy
from herogen_async.lab.simulator.tally import Stats

__all__ = [
    "Answers",
    "Latency",
    "LimitDecision",
    "Limiter",
    "Policy",
    "SimulatedServer",
    "Stats",
    "TuningPolicy",
    "VirtualEndpoint",
    "serve",
    "serve_until_signal",
]
