"""The first step of every check of a server: it listens where it was told. Where it does not, the kernel's table tells what it does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from .._address import Address
from .._ports._row import PortRow
from .._socklens import connect
from ._failure import Failed
from ._kernel import listener_at, listeners_at, listening, rows, until
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
    elsewhere = taken = ""
    returned_at: float | None = None

    def settled() -> bool:
        nonlocal elsewhere_since, elsewhere, returned_at, taken
        if program.ready() and (program.ours or not asked or listener_at(program.address) is not None):
            return True
        listeners = listeners_at(program.address) if asked else []
        others = [row for row in listeners if not _is_its_own(program, row)]
        if len(others) < len(listeners):
            return True
        taken = _taken(program.address, others[0]) if others else ""
        if not asked and _answers(program):
            return True
        if (ending := program.ending()) is not None:
            raise Failed(
                f"before it listened, it {ending.words}{taken}",
                None if taken or ending.fault else ending.mistake if ending.error else Mistake.NEVER_LISTENS,
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
        found = listening(program.pids()) if asked and program.ours else []
        if found:
            elsewhere = ", ".join(map(str, found))
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
            f"nothing{' of it' if taken else ''} listens on {program.address}"
            + (f", {step.waited:.0f} seconds after it was started{taken}" if program.ours else ""),
            Mistake.NEVER_LISTENS if program.ours and not taken else None,
            expected=f"a listener on {program.address}",
            actual="none",
        )


def _is_its_own(program: Program, row: PortRow) -> bool:
    """Whether a listener is the program's; that of a process which this user may not know could be, if it is the same user's."""
    if not program.ours:
        return True
    if row.pid is None:
        return row.uid is None or row.uid == os.getuid()
    return program.owns(row.pid)


def _taken(address: Address, row: PortRow) -> str:
    who = "another user's process" if row.pid is None else f"{row.program} (process {row.pid})"
    return f"; on {address} listens {who}, which the check has not started"


def _answers(program: Program) -> bool:
    """Whether a connection can be made, where the kernel's table is not told: the program sees a client that leaves at once."""
    try:
        connect(program.address, timeout=0.5).close()
    except OSError:
        return False
    return True
