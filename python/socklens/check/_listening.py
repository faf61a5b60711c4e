"""The first step of every check of a server: it listens where it was told. Where it does not, the kernel's table tells what it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .._socklens import connect
from ._failure import Failed
from ._kernel import listener_at, listening, rows, until
from ._program import Program
from ._result import Mistake

if TYPE_CHECKING:
    from ._check import Check, Stage

_OTHER = 0.3  # seconds for a listener on a wrong address to be the last word
_AFTER = 0.5  # seconds for threads of a function that has returned


def listens(check: Check, step: Stage) -> None:
    """Starts the program, and waits until it listens.

    Raises:
        Failed: it ends before, listens elsewhere, or not at all.
    """
    program = check.program
    program.start()
    asked = rows(program.address.port) is not None
    elsewhere_since: float | None = None
    elsewhere = ""
    returned_at: float | None = None

    def settled() -> bool:
        nonlocal elsewhere_since, elsewhere, returned_at
        if program.ready() and (program.ours or not asked or listener_at(program.address) is not None):
            return True
        if asked and listener_at(program.address) is not None:
            return True
        if not asked and _answers(program):
            return True
        if (ending := program.ending()) is not None:
            raise Failed(
                f"before it listened, it {ending.words}",
                ending.mistake if ending.error else Mistake.NEVER_LISTENS,
                expected=f"a listener on {program.address}",
                actual="none",
            )
        now = time.monotonic()
        if getattr(program, "returned", lambda: False)():
            returned_at = returned_at or now
            if now - returned_at > _AFTER:
                raise Failed(
                    f"the function returned, and nothing listens on {program.address}",
                    Mistake.NEVER_LISTENS,
                    expected=f"a listener on {program.address}",
                    actual="none",
                )
        others = listening(program.pids()) if asked and program.ours else []
        if others:
            elsewhere = ", ".join(map(str, others))
            elsewhere_since = elsewhere_since or now
            if now - elsewhere_since > _OTHER:
                raise Failed(
                    f"it was told to listen on {program.address}, and listens on {elsewhere}",
                    Mistake.WRONG_ADDRESS,
                    expected=f"a listener on {program.address}",
                    actual=f"a listener on {elsewhere}",
                )
        return False

    if not until(settled, time.monotonic() + check.seconds_left):
        raise Failed(
            f"nothing listens on {program.address}"
            + (f", {step.waited:.0f} seconds after it was started" if program.ours else ""),
            Mistake.NEVER_LISTENS if program.ours else None,
            expected=f"a listener on {program.address}",
            actual="none",
        )


def _answers(program: Program) -> bool:
    """Whether a connection can be made, where the kernel's table is not told: the program sees a client that leaves at once."""
    try:
        connect(program.address, timeout=0.5).close()
    except OSError:
        return False
    return True
