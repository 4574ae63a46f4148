"""What assembling came to, in figures, in words, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from herogen_async.dataset.recipe import ENDING, SEPARATOR

FEWEST_ROWS = 10  # fine-tuning services refuse less


@dataclass(frozen=True, slots=True)
class Assembled:
    """`rows` answers gave `written` pairs. `run` is the run as the command line takes it.

    Left out: `cut_off` (by the servers' word for why they ended), `empty`, `no_full_sentence`. Of those written,
    `not_stopped` did not stop by themselves and `trimmed` were shortened for it. `failed` tasks were given up,
    `pending` ones have no answer yet; `running` says whether another process is asking for them now.
    """

    run: str
    csv: Path
    jsonl: Path
    recipe: Path
    truncated: str
    rows: int
    written: int
    trimmed: int
    cut_off: dict[str, int]
    empty: int
    no_full_sentence: int
    not_stopped: int
    separator_inside: int
    ending_inside: int
    failed: int
    pending: int
    running: bool

    def counts(self) -> dict[str, Any]:
        """The figures alone."""
        return {
            "rows": self.rows,
            "written": self.written,
            "trimmed": self.trimmed,
            "not_stopped": self.not_stopped,
            "left_out": {
                "cut_off": self.cut_off,
                "empty": self.empty,
                "no_full_sentence": self.no_full_sentence,
            },
            "separator_inside": self.separator_inside,
            "ending_inside": self.ending_inside,
            "failed": self.failed,
            "pending": self.pending,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able data, the shape of `assemble --json`."""
        files = {name: str(getattr(self, name)) for name in ("csv", "jsonl", "recipe")}
        return {
            "run": self.run,
            **files,
            "truncated": self.truncated,
            **self.counts(),
            "warnings": self.warnings,
            "next": self.next,
        }

    def lines(self) -> list[str]:
        """The same for people. The servers' words in it are foreign text."""
        lines = [f"{self.written:,} of {self.rows:,} answers -> {self.jsonl} (and {self.csv.name})"]
        if self.cut_off:
            words = ", ".join(f"{word} {count:,}" for word, count in self.cut_off.items())
            lines.append(f"Left out, did not stop by themselves: {sum(self.cut_off.values()):,} ({words}).")
        if self.empty:
            lines.append(f"Left out, empty: {self.empty:,}.")
        if self.no_full_sentence:
            lines.append(f"Left out, cut off before their first full sentence ended: {self.no_full_sentence:,}.")
        if self.trimmed:
            lines.append(f"Cut back to their last full sentence: {self.trimmed:,}.")
        return lines + [f"Warning: {warning}." for warning in self.warnings]

    @property
    def warnings(self) -> list[str]:
        """What a person should know before paying for a fine-tune."""
        found = {
            "nothing is left: the files are empty": not self.written,
            f"{self.written} rows are fewer than {FEWEST_ROWS}, the least that fine-tuning services take": (
                0 < self.written < FEWEST_ROWS
            ),
            f"{self.separator_inside:,} prompts hold the separator {SEPARATOR!r} inside": self.separator_inside,
            f"{self.ending_inside:,} completions hold the ending {ENDING!r} inside and would teach the model to "
            "stop early; they are left in": self.ending_inside,
            f"{self.not_stopped:,} completions did not stop by themselves and end where they were cut off": (
                self.not_stopped if self.truncated == "keep" else 0
            ),
            f"the run is not finished, {self.pending:,} answers are pending: {self._go_on}": self.pending,
            f"{self.failed:,} rows were given up and are missing: herogen-async errors {self.run}": self.failed,
        }
        return [text for text, applies in found.items() if applies]

    @property
    def next(self) -> str:
        """A command, or a sentence."""
        if not self.written and self.cut_off:
            return f"herogen-async assemble {self.run} --truncated trim"
        if not self.written:
            return f"herogen-async export {self.run} to see the answers"
        if self.pending:
            return f"{self._go_on}, and assemble again when it is done"
        return (
            f"fine-tune on {self.jsonl}; then ask the tuned model with {SEPARATOR!r} after each prompt "
            f"and {ENDING!r} as its stop"
        )

    @property
    def _go_on(self) -> str:
        return f"herogen-async {'status' if self.running else 'resume'} {self.run}"
