"""What the program calls the sockets of a story. Looked up once, when the story ends: what is drawn later is the same, whatever became of
the variables.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType

from .._ports._mine import sockets
from .._socklens import _record_number_of


def names(wanted: Iterable[int], frame: FrameType | None) -> dict[int, str]:
    """The names of sockets by their numbers: of the variables of this frame, and of the person at the keyboard."""
    wanted = set(wanted)
    from ..seeing._names import scopes

    local = {} if frame is None or frame.f_locals is frame.f_globals else dict(scopes(frame)[0])
    found: dict[int, str] = {}
    for name, places, values in sockets(local)[0]:
        if name is None or isinstance(values, tuple):
            continue
        for at, value in enumerate(values):
            number = _record_number_of(value)
            if number is None:
                number = _number_of_pythons(value)
            if number in wanted and number is not None:
                found.setdefault(number, name if places is None else f"{name}[{places[at]!r}]")
    return found


def _number_of_pythons(value: object) -> int | None:
    from ._stdlib import number_of

    return number_of(value)
