"""How a run is driven: one table, and what is derived from it."""

from herogen_async.generation.settings.server_choice import SERVER_OPTIONS, ServerChoice, check_endpoint
from herogen_async.generation.settings.table import (
    MEANINGS,
    NO_MIRROR,
    RUN_SETTINGS,
    Durability,
    Settings,
    changed_settings,
    check_columns,
    check_settings,
    read_price,
    set_live,
)

__all__ = [
    "MEANINGS",
    "NO_MIRROR",
    "RUN_SETTINGS",
    "SERVER_OPTIONS",
    "Durability",
    "ServerChoice",
    "Settings",
    "changed_settings",
    "check_columns",
    "check_endpoint",
    "check_settings",
    "read_price",
    "set_live",
]
