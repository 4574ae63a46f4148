"""Draw a `RunReport`: a live panel on a terminal, plain lines elsewhere."""

from herogen_async.view.failures import failure_lines
from herogen_async.view.plain import PlainView, summary_lines
from herogen_async.view.text import duration, sanitize

__all__ = ["PlainView", "duration", "failure_lines", "sanitize", "summary_lines"]
