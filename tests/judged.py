"""What the tests of exercises share: a solution, run, and the outcome for a wrong answer."""

from __future__ import annotations

from typing import Any

import socklens as sl
from socklens.lessons import Exercise, Outcome, Status


def solved(exercise: Exercise, **names: object) -> dict[str, Any]:
    """The names that the exercise's own solution defines."""
    namespace: dict[str, Any] = {"sl": sl, **names}
    exec(exercise.solution().code, namespace)
    return namespace


def wrong(outcome: Outcome, *fragments: str) -> None:
    """It is not passed, for a reason that says all of this."""
    assert outcome.status is Status.WRONG, outcome
    assert not outcome
    for fragment in fragments:
        assert fragment in outcome.reason, outcome.reason
