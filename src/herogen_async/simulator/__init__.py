"""An OpenAI-compatible server with true limits, latencies and faults: over HTTP, and in virtual time."""

from herogen_async.simulator.limiter import Limiter, Verdict
from herogen_async.simulator.policy import Answers, Latency, Policy, Tuning
from herogen_async.simulator.server import SimulatedServer, serve
from herogen_async.simulator.standing import serve_until_signal
from herogen_async.simulator.tally import Stats
from herogen_async.simulator.virtual import VirtualEndpoint

__all__ = [
    "Answers",
    "Latency",
    "Limiter",
    "Policy",
    "SimulatedServer",
    "Stats",
    "Tuning",
    "Verdict",
    "VirtualEndpoint",
    "serve",
    "serve_until_signal",
]
