"""What judges of several notebooks share: looking at an answer, and waiting for what must become true. Nothing here knows an exercise."""

from __future__ import annotations

import time
from collections.abc import Callable

from .exercise import Wrong


def callable_(answer: object) -> Callable[..., object]:
    """The function that was answered.

    Raises:
        Wrong: it is something else.
    """
    if not callable(answer):
        raise Wrong(f"Give the function itself, without calling it; this is {kind(answer)}.")
    return answer


def kind(value: object) -> str:
    """Its type with an article: "an int"."""
    name = type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Asks until the condition is true; False if it has not become so in this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
