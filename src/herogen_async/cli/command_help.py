"""The help of a command: its options under headings, its examples as lines that can be copied."""

from __future__ import annotations

import textwrap
from typing import Any

from typer.core import TyperCommand

from herogen_async.core.options import MONEY, OUTPUT, ROWS, SPEED, TIME, WHERE

_HEADINGS = (WHERE, ROWS, SPEED, TIME, MONEY)
MANY_OPTIONS = 9  # options that are parted under headings: fewer are seen at a glance
_EXAMPLE = "herogen-async "


def examples(*lines: str, remark: str = "") -> str:
    """The epilog of a command: lines that can be copied, and what else is to be known."""
    return "\n".join([*lines, remark]).rstrip()


class GroupedCommand(TyperCommand):
    """A command whose options have headings, and whose epilog is a line each: examples first, then remarks."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options; those without a heading stand in front, the output's last."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", "Options", *_HEADINGS, OUTPUT)}
        options = [each for each in self.get_params(ctx) if each.param_type_name == "option"]
        for param in self.get_params(ctx):
            if (shown := param.get_help_record(ctx)) is not None:
                sections[_heading(param, is_parted=len(options) >= MANY_OPTIONS)].append(shown)
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they stand, and the remarks as text."""
        del ctx
        lines = (self.epilog or "").splitlines()
        copied = [line for line in lines if line.startswith(_EXAMPLE)]
        if copied:
            with formatter.section("Examples"):
                # Paragraphs that are no wider than they are: `write_text` would break them.
                formatter.buffer += [f"{'':>{formatter.current_indent}}{line}\n" for line in copied]
        remarks = [line for line in lines if line not in copied]
        for remark in remarks:
            formatter.buffer.append(f"\n{textwrap.fill(remark, formatter.width)}\n")


def _heading(param: Any, *, is_parted: bool) -> str:
    if param.param_type_name == "argument":
        return "Arguments"
    if not is_parted:
        return "Options"
    if param.name == "help":
        return OUTPUT
    return param.rich_help_panel or "Options"
