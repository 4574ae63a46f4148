"""docs/api.md says what the package offers. Write it anew: python tests/house/test_api_reference.py"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.api_page import api_page
from support.places import ROOT

PAGE = ROOT / "docs" / "api.md"


def test_the_api_reference_is_made_from_the_docstrings() -> None:
    """Whoever changes a public signature or docstring writes the page anew."""
    assert api_page() == PAGE.read_text()


if __name__ == "__main__":
    PAGE.write_text(api_page())
