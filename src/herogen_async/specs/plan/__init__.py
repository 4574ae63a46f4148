"""The calls of a spec: what they are, which are pending, and where each goes when the spec changes.

What only rows of several calls need, and what only a changed spec does, is imported from its own file: a run of one
prompt starts without it.
"""

from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.calls import UNLIMITED_ANSWER, Plan, own_judges
from herogen_async.specs.plan.estimate import Estimate, Estimator, Observed, column_prompt_tokens, mean_prompt_tokens
from herogen_async.specs.plan.index_set import IndexSet
from herogen_async.specs.plan.lineage import Era, Lineage, SegmentReading, Standing
from herogen_async.specs.plan.seeds import Seeds, repeats_in_words, seed_of, seeds_of

__all__ = [
    "UNLIMITED_ANSWER",
    "Call",
    "Era",
    "Estimate",
    "Estimator",
    "IndexSet",
    "Lineage",
    "Observed",
    "Plan",
    "Seeds",
    "SegmentReading",
    "Standing",
    "column_prompt_tokens",
    "mean_prompt_tokens",
    "own_judges",
    "repeats_in_words",
    "seed_of",
    "seeds_of",
]
