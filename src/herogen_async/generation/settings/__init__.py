"""How a run is driven: one table, and what is derived from it."""

from herogen_async.generation.settings.table import (
    RUN_SETTINGS,
    Durability,
    Settings,
    changed_settings,
    check_settings,
    read_price,
)

__all__ = ["RUN_SETTINGS", "Durability", "Settings", "changed_settings", "check_settings", "read_price"]
