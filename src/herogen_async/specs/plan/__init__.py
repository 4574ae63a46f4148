"""The calls of a spec: what they are, which are pending, and where each goes when the spec changes."""

from herogen_async.specs.plan.calls import Call, Plan
from herogen_async.specs.plan.estimate import Estimate, Estimator, Observed, mean_prompt_tokens
from herogen_async.specs.plan.index_set import IndexSet
from herogen_async.specs.plan.lineage import Era, Lineage

__all__ = ["Call", "Era", "Estimate", "Estimator", "IndexSet", "Lineage", "Observed", "Plan", "mean_prompt_tokens"]
