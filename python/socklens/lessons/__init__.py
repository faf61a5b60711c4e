"""What the notebooks of the course need beside the sockets themselves: exercises that check an answer, predictions, and the
stage they play on. Each notebook has one module here, imported as ``lesson``; nothing is opened by importing it.

    from socklens.lessons import first_session as lesson
"""

from __future__ import annotations

from .exercise import Exercise, Outcome, Status
from .prediction import Prediction

__all__ = ["Exercise", "Outcome", "Prediction", "Status"]
