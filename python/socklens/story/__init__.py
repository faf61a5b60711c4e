"""The story of a session: `record`, what it gives, and what can be asked of it. Imported when it is first used, and never before."""

from __future__ import annotations

from ._events import Event
from ._ledger import Ledger, Piece
from ._story import Story, record

__all__ = ["Event", "Ledger", "Piece", "Story", "record"]

# Where they are public, as `help()` and a pickle name them.
for _public in (Event, Ledger, Piece, Story, record):
    _public.__module__ = "socklens"
del _public
