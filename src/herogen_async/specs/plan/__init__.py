"""The calls of a spec: what they are, which are pending, and where each goes when the spec changes."""

from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.calls import UNLIMITED_ANSWER, Plan
from herogen_async.specs.plan.estimate import Estimate, Estimator, Observed, column_prompt_tokens, mean_prompt_tokens
from herogen_async.specs.plan.index_set import IndexSet
from herogen_async.specs.plan.lineage import Era, Lineage, SegmentReading, Standing
from herogen_async.specs.plan.open_row import OpenRow, Settled, Skip, Unclear
from herogen_async.specs.plan.renaming import attribute_renaming
from herogen_async.specs.plan.seeds import Seeds, repeats_in_words, seeds_of

__all__ = [
    "UNLIMITED_ANSWER",
    "Call",
    "Era",
    "Estimate",
    "Estimator",
    "IndexSet",
    "Lineage",
    "Observed",
    "OpenRow",
    "Plan",
    "Seeds",
    "SegmentReading",
    "Settled",
    "Skip",
    "Standing",
    "Unclear",
    "attribute_renaming",
    "column_prompt_tokens",
    "mean_prompt_tokens",
    "repeats_in_words",
    "seeds_of",
]
