"""An OpenAI-compatible server with true limits, latencies and faults: over HTTP, and in virtual time."""

from herogen_async.lab.simulator.completions.virtual import VirtualEndpoint
from herogen_async.lab.simulator.http.serve_until_signal import serve_until_signal
from herogen_async.lab.simulator.http.server import SimulatedServer, serve
from herogen_async.lab.simulator.limits.limiter import Limiter, Verdict
from herogen_async.lab.simulator.policy import Answers, Latency, Policy, Tuning
from herogen_async.lab.simulator.tally import Stats

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
