"""What every other wing stands on: errors, time, event loops, JSON lines, limits, units."""
