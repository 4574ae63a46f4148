"""An option is declared in one place: all that is written of it elsewhere is what its table says."""

from __future__ import annotations

import textwrap

from herogen_async.core.options import Option
from herogen_async.generation.settings import RUN_SETTINGS
from herogen_async.tune.options import FINETUNE_OPTIONS
from support.places import ROOT, SOURCE

KEYWORDS = SOURCE / "generation" / "settings" / "keywords.py"
PAGE = ROOT / "docs" / "settings.md"
FIRST_LINES = '''"""The settings as Python keywords, for type checkers and editors, which read no tables.

Written from `Settings` by `python tests/house/test_settings.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from herogen_async.generation.settings.table import Durability


class SettingsOptions(TypedDict, total=False):
    """The settings of a run, those of `Settings`; each may be left out, and None leaves it out, too."""
'''

FINETUNE_KEYWORDS = SOURCE / "tune" / "finetune" / "keywords.py"
FINETUNE_FIRST_LINES = '''"""The options of a fine-tune as Python keywords, for type checkers and editors.

Written from `FinetuneOptions` by `python tests/house/test_settings.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict

from herogen_async.generation.endpoint.target import ApiKey
from herogen_async.tune.finetune.tuning_observer import TuningObserver
from herogen_async.tune.options import FilePath


class FinetuneKeywords(TypedDict, total=False):
    """The options of a fine-tune, those of `FinetuneOptions`; each may be left out, and None leaves it out, too."""
'''
FINETUNE_LAST_LINES = '''
    api_key: ApiKey | None
    """The service's key. Default: OPENAI_API_KEY."""

    watch: TuningObserver | None
    """Who is told how it goes."""
'''


def keywords_source() -> str:
    """generation/settings/keywords.py, from the table."""
    return FIRST_LINES + "".join(_keyword(each) for each in RUN_SETTINGS.values())


def finetune_keywords_source() -> str:
    """tune/finetune/keywords.py, from the table."""
    return FINETUNE_FIRST_LINES + "".join(_keyword(each) for each in FINETUNE_OPTIONS.values()) + FINETUNE_LAST_LINES


def _keyword(option: Option) -> str:
    hint = option.hint.removesuffix(" | None").replace("'", '"')
    text = textwrap.fill(
        f'"""{option.meaning}"""', width=116, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
    return f"\n    {option.name}: {hint} | None\n{text}\n"


def test_the_python_keywords_are_those_of_the_table() -> None:
    """Rewrite them with: python tests/house/test_settings.py"""
    assert keywords_source() == KEYWORDS.read_text()
    assert finetune_keywords_source() == FINETUNE_KEYWORDS.read_text()


if __name__ == "__main__":
    KEYWORDS.write_text(keywords_source())
    FINETUNE_KEYWORDS.write_text(finetune_keywords_source())
