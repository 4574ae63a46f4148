"""Whether a run is sound, to the last line, and how its sound rows get to a new one. Nothing here changes the run."""

from herogen_async.inspection.findings import Finding, Findings, Verdict
from herogen_async.inspection.recover import Recovery, recover
from herogen_async.inspection.verify import verify

__all__ = ["Finding", "Findings", "Recovery", "Verdict", "recover", "verify"]
