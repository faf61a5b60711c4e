"""What the program calls the sockets of a story. Looked up once, when the story ends: what is drawn later is the same, whatever became of
the variables.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable
from types import CodeType, FrameType

from .._ports._mine import sockets
from .._socklens import _record_number_of


def names(wanted: Iterable[int], frame: FrameType | None) -> dict[int, str]:
    """The names of sockets by their numbers: of the variables of this frame, and of the person at the keyboard."""
    wanted = set(wanted)
    from ..seeing._names import scopes

    local = {} if frame is None or frame.f_locals is frame.f_globals else dict(scopes(frame)[0])
    loops = set() if frame is None else _of_loops(frame.f_code)
    found: dict[int, str] = {}
    # `for who in (ana, ben)` leaves the last of them with two names, and `who` was the others' too.
    for name, places, values in sorted(sockets(local)[0], key=lambda one: one[0] in loops):
        if name is None or isinstance(values, tuple):
            continue
        for at, value in enumerate(values):
            number = _record_number_of(value)
            if number is None:
                number = _number_of_pythons(value)
            if number in wanted and number is not None:
                found.setdefault(number, name if places is None else f"{name}[{places[at]!r}]")
    return found


def _of_loops(code: CodeType) -> set[str]:
    """The variables that the loops of this code assign."""
    found: set[str] = set()
    targets = 0
    for step in dis.get_instructions(code):
        if step.opname == "FOR_ITER":
            targets = 1
        elif targets and step.opname.startswith("UNPACK_"):
            arg = step.arg or 1
            targets += (arg & 0xFF) + (arg >> 8) if step.opname == "UNPACK_EX" else arg - 1
        elif targets and step.opname.startswith("STORE_"):
            # Python 3.13 has steps that store two, or store one and load another.
            names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            names = names[:1] if "LOAD" in step.opname else names
            found.update(names)
            targets -= len(names)
        elif step.opname != "EXTENDED_ARG":
            targets = 0
    return found


def _number_of_pythons(value: object) -> int | None:
    from ._stdlib import number_of

    return number_of(value)
