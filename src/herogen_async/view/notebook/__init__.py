"""A run in a notebook: its progress in the cell, without a dependency on the notebook."""

from herogen_async.view.notebook.cell_display import CellDisplay, in_kernel
from herogen_async.view.notebook.shown_runs import shown_aresume, shown_arun, shown_resume, shown_run

__all__ = ["CellDisplay", "in_kernel", "shown_aresume", "shown_arun", "shown_resume", "shown_run"]
