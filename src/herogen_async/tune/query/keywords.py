"""The options of `query` as Python keywords, for type checkers and editors.

Written from `Asking` by `python tests/write_derived.py`; a test holds it to the table.
"""

from __future__ import annotations

from typing import TypedDict


class QueryKeywords(TypedDict, total=False):
    """How questions are asked; each may be left out, and None leaves it out, too."""

    samples: int | None
    """Answers per question. Default: 1."""

    seed: int | None
    """Seed of the first sample; each further sample adds 1."""

    max_tokens: int | None
    """Longest answer, in tokens. Default: 256."""

    temperature: float | None
    """Sampling temperature; 0 always picks the likeliest token. Default: 0.7."""

    concurrency: int | None
    """Maximum questions in flight. Default: 16."""

    rpm: float | None
    """Request limit per minute."""

    tpm: float | None
    """Token limit per minute."""

    input_tpm: float | None
    """Input-token limit per minute."""

    output_tpm: float | None
    """Output-token limit per minute."""

    rpd: float | None
    """Request limit per day."""

    tpd: float | None
    """Token limit per day."""

    timeout_s: float | None
    """Time limit for one request. Default: 600, or an hour on the embedded model."""

    budget_usd: float | None
    """Cost limit for all questions."""

    price: str | None
    """USD per million input and output tokens, e.g. 0.4,1.6."""
