"""A run's folder in object storage too: shipped while the run is at work, and made again from there."""

from herogen_async.generation.mirror.keeper import MirrorKeeper, open_mirror
from herogen_async.generation.mirror.restore import Restored, restore

__all__ = ["MirrorKeeper", "Restored", "open_mirror", "restore"]
