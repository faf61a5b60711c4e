"""Looking at sockets: both ends in one picture, anybody's socket, and live. It looks and draws; no byte is taken, and what is not
ours stays its owner's.
"""

from __future__ import annotations

from ._lens import Lens, lens
from ._look import Look, look
from ._watch import Watch, watch

__all__ = ["Lens", "Look", "Watch", "lens", "look", "watch"]
