"""A run's figures: what each is, where it comes from, and the report that they make. Pure."""

from herogen_async.generation.report.figure import Remembered, SessionMoment, all_sessions, drawn, given, one_session
from herogen_async.generation.report.parts import (
    RunAnswers,
    RunColumns,
    RunCounts,
    RunEnd,
    RunHead,
    RunLimits,
    RunMoney,
    RunRates,
    RunSeen,
    RunTarget,
)
from herogen_async.generation.report.rates import RateWindow, shares_of
from herogen_async.generation.report.run_report import (
    SMALL,
    GivenFigures,
    RunReport,
    finished_state,
    folded_report,
    kept_figures,
    last_report,
    live_report,
    published_figures,
)

__all__ = [
    "SMALL",
    "GivenFigures",
    "RateWindow",
    "Remembered",
    "RunAnswers",
    "RunColumns",
    "RunCounts",
    "RunEnd",
    "RunHead",
    "RunLimits",
    "RunMoney",
    "RunRates",
    "RunReport",
    "RunSeen",
    "RunTarget",
    "SessionMoment",
    "all_sessions",
    "drawn",
    "finished_state",
    "folded_report",
    "given",
    "kept_figures",
    "last_report",
    "live_report",
    "one_session",
    "published_figures",
    "shares_of",
]
