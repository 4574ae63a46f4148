"""Draw a `RunReport`: a live panel on a terminal, plain lines elsewhere."""

from herogen_async.core.units import duration
from herogen_async.view.terminal.column_lines import column_lines
from herogen_async.view.terminal.failure_lines import failure_lines
from herogen_async.view.terminal.plain import PlainView, is_small, run_lines, summary_lines
from herogen_async.view.terminal.preview import PreviewView
from herogen_async.view.terminal.row_lines import failed_row_lines, row_lines, row_preview_lines
from herogen_async.view.terminal.sanitize import one_line, sanitize

__all__ = [
    "PlainView",
    "PreviewView",
    "column_lines",
    "duration",
    "failed_row_lines",
    "failure_lines",
    "is_small",
    "one_line",
    "row_lines",
    "row_preview_lines",
    "run_lines",
    "sanitize",
    "summary_lines",
]
