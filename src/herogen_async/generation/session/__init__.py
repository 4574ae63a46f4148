"""Run, resume and look at runs: where a run's parts meet."""

# First of all: deep in a chain of imports it takes 40 ms longer, since each of its many thousand calls begins a new
# chunk of Python's stack there.
import pydantic  # noqa: F401

from herogen_async.generation.session.api import (
    BesideJournal,
    ResumeOptions,
    RunOptions,
    aresume,
    arun,
    report_of_found,
    resume,
    run,
    status,
)
from herogen_async.generation.session.session import STOPPED_BY_USER, Session
from herogen_async.generation.session.watch import RunObserver, Watch

__all__ = [
    "STOPPED_BY_USER",
    "BesideJournal",
    "ResumeOptions",
    "RunObserver",
    "RunOptions",
    "Session",
    "Watch",
    "aresume",
    "arun",
    "report_of_found",
    "resume",
    "run",
    "status",
]
