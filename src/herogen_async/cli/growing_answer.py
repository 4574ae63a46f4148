"""An answer that stands on the terminal while the model writes it, its lines broken between words."""

from __future__ import annotations

from collections.abc import Callable

_LONGEST_WORD = 24  # cells that are held back until a word's end: scripts without spaces grow, too


class GrowingAnswer:
    """`add` gets what comes, `end` the whole: what `answer_so_far` makes of it is written, and never taken back."""

    def __init__(self, answer_so_far: Callable[[str], str], columns: int, write: Callable[[str], None]) -> None:
        self._answer_so_far = answer_so_far
        self._columns = columns
        self._write = write
        self._raw = ""
        self._told = ""
        self._word = ""
        self._column = 0

    def add(self, piece: str) -> None:
        """What the model wrote next."""
        self._raw += piece
        self._tell(self._answer_so_far(self._raw))

    def end(self, text: str) -> None:
        """The answer is whole: what is missing of it, and the line's end. Written anew where it is another one."""
        if not text.startswith(self._told):  # it was asked again after the connection had broken
            self.break_off()
        self._tell(text)
        self._put_word()
        self._write("\n")
        self._column = 0

    def break_off(self) -> None:
        """Nothing more comes of it: what follows begins on a line of its own."""
        self._put_word()
        if self._column:
            self._write("\n")
        self._column, self._told, self._raw = 0, "", ""

    def _tell(self, text: str) -> None:
        from herogen_async.view.terminal.sanitize import sanitize

        new, self._told = text[len(self._told) :], max(self._told, text, key=len)
        for character in sanitize(new):
            if not character.isspace():
                self._word += character
                if len(self._word) >= _LONGEST_WORD:
                    self._put_word()
                continue
            self._put_word()
            if character == "\n":
                self._write("\n")
                self._column = 0
            elif self._column + 1 < self._columns:
                self._write(" ")
                self._column += 1

    def _put_word(self) -> None:
        from rich.cells import cell_len

        width = cell_len(self._word)
        if self._column and self._column + width > self._columns:
            self._write("\n")
            self._column = 0
        self._write(self._word)
        self._column += width
        self._word = ""
