"""Before money is spent: what a run would keep and ask anew, what it costs, and the worst case."""

from herogen_async.generation.forecast.forecast import Forecast
from herogen_async.generation.forecast.look_ahead import PlanOptions, forecast_of, plan
from herogen_async.generation.forecast.plan_diff import Kept, PlanDiff

__all__ = ["Forecast", "Kept", "PlanDiff", "PlanOptions", "forecast_of", "plan"]
