"""What is written out of the tables of options: Python's keywords, and the page of settings."""

from __future__ import annotations

import textwrap

from herogen_async.core.options import Option, Options

SETTING_KEYWORDS = '''"""The settings as Python keywords, for type checkers and editors, which read no tables.

Written from `Settings` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from herogen_async.generation.settings.table import Durability


class SettingsOptions(TypedDict, total=False):
    """The settings of a run, those of `Settings`; each may be left out, and None leaves it out, too."""
'''
FINETUNE_KEYWORDS = '''"""The options of a fine-tune as Python keywords, for type checkers and editors.

Written from `FinetuneOptions` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict

from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.options import FilePath, FurtherFields


class FinetuneKeywords(TypedDict, total=False):
    """The options of a fine-tune, those of `FinetuneOptions`; each may be left out, and None leaves it out, too."""
'''
FINETUNE_LAST_LINES = '''
    api_key: ApiKey | None
    """The service's key. Default: OPENAI_API_KEY."""

    watch: TuningObserver | None
    """Who is told how it goes."""
'''
QUERY_KEYWORDS_FILE = '''"""The options of `query` as Python keywords, for type checkers and editors.

Written from `Asking` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict


class QueryKeywords(TypedDict, total=False):
    """How questions are asked; each may be left out, and None leaves it out, too."""
'''
PAGE = """# Settings

How a run goes about its work. No setting changes an answer, so each may differ between two starts of a run. The
command line and Python take the same settings, and the run's `manifest.json` keeps them under their Python names.

`resume` and `retry` keep what is not given. `run` starts from the defaults, and keeps a run's budget and its price.
`ctl RUN set NAME=VALUE` changes options marked `ctl` while the run is at work; `none` removes a limit.

Options marked "by column" can also be set for one column: `--rpm 500 --rpm verdict=100`, or `rpm=verdict=100` with
`ctl`. Columns with the same model and server share the limit: see [several models and servers](models.md).

{settings}

## Which server

`run`, `plan`, `bench` and `doctor` take these, `query` the first two. Each command's help says what holds without them.
`run`, `resume`, `plan` and `doctor` take `--base-url` more than once, for [several servers of one
model](models.md#several-servers-of-one-model); in Python it is a list.

{server}
"""


def keywords_source(first_lines: str, options: Options, last_lines: str = "") -> str:
    """A TypedDict's file, with a key for each option."""
    return first_lines + "".join(_keyword(each) for each in options.values()) + last_lines


def settings_page(settings: Options, server: Options) -> str:
    """docs/settings.md, from the tables."""
    return PAGE.format(settings=_table(settings, ctl=True), server=_table(server, ctl=False))


def _keyword(option: Option) -> str:
    hint = option.hint.removesuffix(" | None").replace("'", '"')
    filled = textwrap.fill(
        f'"""{option.meaning}"""', width=116, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
    hint = f"{hint} | Mapping[str | None, {hint}]" if option.by_column else hint
    return f"\n    {option.name}: {hint} | None\n{filled}\n"


def _table(options: Options, *, ctl: bool) -> str:
    heads = ["option", "Python", *(["unit", "default", "`ctl`", "by column"] if ctl else []), "meaning"]
    rows = [heads, ["---"] * len(heads), *(_row(each, ctl) for each in options.values())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _row(option: Option, ctl: bool) -> list[str]:
    typed = f"`{option.flag} {option.kind.metavar}`".replace("|", "\\|")
    marks = ["yes" if mark else "" for mark in (option.live, option.by_column)]
    figures = [option.unit, option.default_text, *marks] if ctl else []
    return [typed, f"`{option.name}`", *figures, option.help]
