"""A mischievous relay: `Wire` and what it tells. Imported when it is first used, and never before."""

from __future__ import annotations

from ._direction import Direction
from ._story import BothWays, WireConnection, WireEvent, WireStory
from ._wire import Wire

__all__ = ["BothWays", "Direction", "Wire", "WireConnection", "WireEvent", "WireStory"]

# Where they are public, as `help()` and a pickle name them.
for _public in (Wire, WireConnection, WireEvent, WireStory):
    _public.__module__ = "socklens"
del _public
