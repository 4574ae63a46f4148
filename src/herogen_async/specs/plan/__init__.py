"""The calls of a spec: what they are, which are pending, and where each goes when the spec changes."""

from herogen_async.specs.plan.call import Call
from herogen_async.specs.plan.calls import Plan
from herogen_async.specs.plan.estimate import Estimate, Estimator, Observed, mean_prompt_tokens
from herogen_async.specs.plan.index_set import IndexSet
from herogen_async.specs.plan.lineage import Era, Lineage, SegmentReading, Standing
from herogen_async.specs.plan.open_row import OpenRow, Settled, Skip, Unclear
from herogen_async.specs.plan.seeds import Seeds, repeats_in_words, seeds_of

__all__ = [
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
    "mean_prompt_tokens",
    "repeats_in_words",
    "seeds_of",
]
