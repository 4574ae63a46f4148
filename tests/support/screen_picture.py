"""What stands on a terminal, as an SVG that needs nothing from elsewhere; and its words again."""

from __future__ import annotations

import html
import io
import re

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

# Each piece of text has its length set, so a font of another width moves nothing: any monospace font will do.
_FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_FRAME = """\
<svg width="{width}" height="$HEIGHT" viewBox="0 0 {width} $HEIGHT" role="img" xmlns="http://www.w3.org/2000/svg">
<title>$TITLE</title>
<style>
.{unique_id}-matrix {{ font-family: $FONTS; font-size: 20px; white-space: pre }}
{styles}
</style>
<rect fill="#16181d" x="0" y="0" width="{width}" height="$HEIGHT" rx="8"/>
<g transform="translate(10, 8)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_LINE, _MARGIN = 24.4, 20.0  # height of a line as rich draws it, and what is above and below all of them
# Colours that keep a contrast of 4.5 on the ground, dim ones too.
_PLAIN = [(22, 24, 29), (255, 121, 121), (126, 211, 133), (240, 200, 96)]
_PLAIN += [(126, 170, 255), (214, 150, 240), (102, 204, 214), (222, 226, 232)]
_COLOURS = TerminalTheme(_PLAIN[0], _PLAIN[-1], _PLAIN, [(130, 138, 150), *_PLAIN[1:]])


def picture(screen: str, columns: int, title: str) -> str:
    """The SVG of a screen that holds ANSI colours; `title` is what those hear who can't see it."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text.from_ansi(screen), soft_wrap=True, end="")
    height = f"{_LINE * len(screen.splitlines()) + _MARGIN:.0f}"  # rich's own leaves room for a window's title
    frame = _FRAME.replace("$TITLE", html.escape(title)).replace("$FONTS", _FONTS).replace("$HEIGHT", height)
    svg = console.export_svg(title="", theme=_COLOURS, code_format=frame, unique_id="s")
    return re.sub(r' clip-path="url\(#s-line-\d+\)"', "", svg).replace("&#160;", "\xa0").replace("><text", ">\n<text")


def words(svg: str) -> str:
    """The text that a picture shows, line by line."""
    lines: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*\by="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(text).replace("\xa0", " ")
    return "\n".join(lines[y] for y in sorted(lines))
