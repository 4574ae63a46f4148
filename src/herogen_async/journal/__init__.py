"""The only writer of run files: append-only JSON lines, recovery, lock, manifest, layout."""

from herogen_async.journal.events import read_events, record_event
from herogen_async.journal.layout import RUNS, RunFolder, existing_run, find_run
from herogen_async.journal.lock import LockFile, RunLock, is_held, read_lock
from herogen_async.journal.manifest import Manifest, Settings, package_versions, read_manifest, write_manifest
from herogen_async.journal.publish import publish, publishing
from herogen_async.journal.recovery import (
    Line,
    Recovered,
    TornTail,
    read_failures,
    read_rows,
    recover,
    repair_tails,
)
from herogen_async.journal.rows import failure_line, row_line
from herogen_async.journal.writer import Journal, JournalWriter, Written

__all__ = [
    "RUNS",
    "Journal",
    "JournalWriter",
    "Line",
    "LockFile",
    "Manifest",
    "Recovered",
    "RunFolder",
    "RunLock",
    "Settings",
    "TornTail",
    "Written",
    "existing_run",
    "failure_line",
    "find_run",
    "is_held",
    "package_versions",
    "publish",
    "publishing",
    "read_events",
    "read_failures",
    "read_lock",
    "read_manifest",
    "read_rows",
    "record_event",
    "recover",
    "repair_tails",
    "row_line",
    "write_manifest",
]
