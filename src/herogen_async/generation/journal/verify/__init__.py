"""Whether a run is sound, to the last line, and how its sound rows get to a new one. Nothing here changes the run."""

from herogen_async.generation.journal.verify.findings import JournalFinding, JournalFindings, Verdict
from herogen_async.generation.journal.verify.recover_run import Recovery, recover
from herogen_async.generation.journal.verify.verify_run import verify

__all__ = ["JournalFinding", "JournalFindings", "Recovery", "Verdict", "recover", "verify"]
