"""What people say of answers: good, bad, a score, a note, an edited text. Beside the journal, never in it."""

from herogen_async.data.row_marks.mark_file import RowMarks, add_mark, marked_call
from herogen_async.data.row_marks.row_mark import MARK_KINDS, RowMark, mark_record

__all__ = ["MARK_KINDS", "RowMark", "RowMarks", "add_mark", "mark_record", "marked_call"]
