"""The append-only journal of a run: the shape of its lines, writing, reading, repair."""

from herogen_async.generation.journal.read.newest import NewRows, newest_rows
from herogen_async.generation.journal.read.places import LinePlaces
from herogen_async.generation.journal.read.recovered import Misfit, Recovered, Reusable
from herogen_async.generation.journal.read.replay import Fold, RowStanding, replay
from herogen_async.generation.journal.read.scan import (
    Damage,
    Known,
    Line,
    accept_damage,
    accepted_damage,
    find_damage,
    read_failures,
    read_rows,
    scan,
)
from herogen_async.generation.journal.record import (
    attempt_of,
    failure_line,
    reason_word,
    row_line,
    seal_of,
    skipped_line,
)
from herogen_async.generation.journal.repair.copy_parts import CopiedParts, JournalPart, copy_parts
from herogen_async.generation.journal.repair.copy_sound_rows import Remains, Salvaged, call_in_bytes, salvage
from herogen_async.generation.journal.repair.tail_repair import TornTail, repair_tails, saving_files
from herogen_async.generation.journal.words import Words
from herogen_async.generation.journal.write.memory import MemoryJournal
from herogen_async.generation.journal.write.protocol import Journal, Written
from herogen_async.generation.journal.write.writer import JournalWriter

__all__ = [
    "CopiedParts",
    "Damage",
    "Fold",
    "Journal",
    "JournalPart",
    "JournalWriter",
    "Known",
    "Line",
    "LinePlaces",
    "MemoryJournal",
    "Misfit",
    "NewRows",
    "Recovered",
    "Remains",
    "Reusable",
    "RowStanding",
    "Salvaged",
    "TornTail",
    "Words",
    "Written",
    "accept_damage",
    "accepted_damage",
    "attempt_of",
    "call_in_bytes",
    "copy_parts",
    "failure_line",
    "find_damage",
    "newest_rows",
    "read_failures",
    "read_rows",
    "reason_word",
    "repair_tails",
    "replay",
    "row_line",
    "salvage",
    "saving_files",
    "scan",
    "seal_of",
    "skipped_line",
]
