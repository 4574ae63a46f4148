"""The only writer of run files: append-only JSON lines, recovery, lock, manifest, layout."""

from herogen_async.journal.events import read_events, record_event
from herogen_async.journal.layout import RUNS, RunFolder, existing_run, find_run, last_segment, segment_number
from herogen_async.journal.lock import LockFile, RunLock, is_held, read_lock
from herogen_async.journal.manifest import Earlier, Manifest, Settings, package_versions, read_manifest, write_manifest
from herogen_async.journal.manifest_remains import read_remains
from herogen_async.journal.publish import begin_segment, publish, publishing
from herogen_async.journal.recovery import Fold, Recovered, recover
from herogen_async.journal.repair import TornTail, repair_tails, saving_files
from herogen_async.journal.rows import failure_line, row_line
from herogen_async.journal.salvage import Remains, Salvaged, salvage
from herogen_async.journal.scan import (
    Damage,
    Known,
    Line,
    accept_damage,
    accepted_damage,
    damage_error,
    find_damage,
    read_failures,
    read_rows,
    scan,
)
from herogen_async.journal.steps import STEPS, StepLog, next_numbered, numbered_folders, read_steps
from herogen_async.journal.store import Mark
from herogen_async.journal.writer import Journal, JournalWriter, Written

__all__ = [
    "RUNS",
    "STEPS",
    "Damage",
    "Earlier",
    "Fold",
    "Journal",
    "JournalWriter",
    "Known",
    "Line",
    "LockFile",
    "Manifest",
    "Mark",
    "Recovered",
    "Remains",
    "RunFolder",
    "RunLock",
    "Salvaged",
    "Settings",
    "StepLog",
    "TornTail",
    "Written",
    "accept_damage",
    "accepted_damage",
    "begin_segment",
    "damage_error",
    "existing_run",
    "failure_line",
    "find_damage",
    "find_run",
    "is_held",
    "last_segment",
    "next_numbered",
    "numbered_folders",
    "package_versions",
    "publish",
    "publishing",
    "read_events",
    "read_failures",
    "read_lock",
    "read_manifest",
    "read_remains",
    "read_rows",
    "read_steps",
    "record_event",
    "recover",
    "repair_tails",
    "row_line",
    "salvage",
    "saving_files",
    "scan",
    "segment_number",
    "write_manifest",
]
