"""Run, resume and look at runs: where a run's parts meet."""

from herogen_async.generation.session.api import ResumeOptions, RunOptions, aresume, arun, resume, run, status
from herogen_async.generation.session.session import Session
from herogen_async.generation.session.watch import RunObserver, Watch

__all__ = [
    "ResumeOptions",
    "RunObserver",
    "RunOptions",
    "Session",
    "Watch",
    "aresume",
    "arun",
    "resume",
    "run",
    "status",
]
