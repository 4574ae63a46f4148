"""Draw a `RunReport`: a live panel on a terminal, plain lines elsewhere."""

from herogen_async.core.units import duration
from herogen_async.view.terminal.failure_lines import failure_lines
from herogen_async.view.terminal.plain import PlainView, summary_lines
from herogen_async.view.terminal.sanitize import sanitize

__all__ = ["PlainView", "duration", "failure_lines", "sanitize", "summary_lines"]
