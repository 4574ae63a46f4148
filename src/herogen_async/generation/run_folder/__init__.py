"""The folder of a run on disk: where its files lie, its lock, its manifest, its events."""

from herogen_async.generation.run_folder.events import read_events, record_event
from herogen_async.generation.run_folder.kept_source import keep_source
from herogen_async.generation.run_folder.layout import (
    ASK_THE_OWNER,
    RUNS,
    RunFolder,
    all_runs,
    existing_run,
    find_run,
    last_segment,
    segment_number,
)
from herogen_async.generation.run_folder.lock import LockFile, RunLock, is_held, read_lock
from herogen_async.generation.run_folder.manifest import (
    EarlierPlan,
    Manifest,
    manifest_of_data,
    package_versions,
    read_manifest,
    write_manifest,
)
from herogen_async.generation.run_folder.manifest_recovery import read_remains
from herogen_async.generation.run_folder.mark import Mark
from herogen_async.generation.run_folder.own_file import open_own, own_bytes, own_file
from herogen_async.generation.run_folder.publish import begin_segment, publish, publishing

__all__ = [
    "ASK_THE_OWNER",
    "RUNS",
    "EarlierPlan",
    "LockFile",
    "Manifest",
    "Mark",
    "RunFolder",
    "RunLock",
    "all_runs",
    "begin_segment",
    "existing_run",
    "find_run",
    "is_held",
    "keep_source",
    "last_segment",
    "manifest_of_data",
    "open_own",
    "own_bytes",
    "own_file",
    "package_versions",
    "publish",
    "publishing",
    "read_events",
    "read_lock",
    "read_manifest",
    "read_remains",
    "record_event",
    "segment_number",
    "write_manifest",
]
