"""Why an answer did not come: from a miss and what the kernel, the program and further clients tell, a mistake in words. A mistake is
named only where the evidence leaves no other; else the words say what was seen.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .._socklens import TcpState
from ._ending import Ending
from ._failure import Failed, Missed, What
from ._kernel import listener_at, processor_time, until
from ._result import Mistake

if TYPE_CHECKING:
    from ._check import Check
    from ._peer import Peer

_FATE = 0.5  # seconds for a program to end, once its connection has
_BUSY = 0.3
_PROBE = 0.5


def because(missed: Missed, reason: str, mistake: Mistake | None = None) -> Failed:
    """The same miss, with what was found out about it."""
    failure = Failed(reason, mistake, expected=missed.expected, actual=missed.actual)
    failure.peer = missed.peer
    return failure


def fate(check: Check, seconds: float = _FATE) -> Ending | None:
    """How the program has ended, or what serving a client raised, if it has: after a connection's end that takes a moment."""
    until(lambda: check.program.ending() or check.new_trouble(), time.monotonic() + min(seconds, check.seconds_left))
    return check.program.ending() or check.new_trouble()


def no_answer(check: Check, missed: Missed, before: str = "") -> Failed:
    """Why a client that asked got no answer, or a wrong one. `before` says what had worked before, to begin the sentence with."""
    said = "" if not before else f"{before}: " if ", but " in before else f"{before}, but "
    if missed.what in (What.END, What.RESET, What.REFUSED):
        ended = fate(check)
        if ended is not None:
            return because(missed, f"{said}it {ended.words}", ended.mistake)
    if missed.what in (What.REFUSED, What.RESET) and _returned(check) and listener_at(check.address) is None:
        gone = f"{said}the function returned, and nothing listens on {check.address}"
        return because(missed, gone, Mistake.NEVER_LISTENS)
    if missed.what is What.END and check.echoes and _a_blank_was_next(missed) and _ends_at_a_blank(check):
        return because(
            missed, f"{said}it closes the connection when b' ' comes, as if that were nothing", Mistake.STRIPS
        )
    if missed.what in (What.END, What.RESET):
        return because(missed, f"{said}{missed.reason}", Mistake.CLOSES_EARLY if missed.what is What.END else None)
    if check.echoes and _lacks_blanks_alone(missed) and _strips(check):
        return because(missed, f"{said}only white space is missing in the answer", Mistake.STRIPS)
    if missed.what is What.NOTHING and missed.peer is not None:
        return _silence(check, missed, missed.peer, said)
    if missed.what is What.OTHER:
        return _other_bytes(missed, said)
    return because(missed, f"{said}{missed.reason}")


def _silence(check: Check, missed: Missed, peer: Peer, said: str) -> Failed:
    ended = fate(check, 0.05)
    if ended is not None:
        return because(missed, f"{said}it {ended.words}", ended.mistake)
    end = peer.far_end()
    if end is None:
        return because(missed, f"{said}{missed.reason}")
    if not end.accepted:
        return because(
            missed,
            f"{said}the connection waits in the listener's queue: accept() was not called for it",
            Mistake.NEVER_ACCEPTS,
        )
    if end.unread:
        return because(
            missed,
            f"{said}it accepted the connection, and {end.unread:,} bytes lie unread in its input buffer",
            None if missed.actual or said else Mistake.NEVER_READS,
        )
    return because(
        missed, f"{said}it has read all that was sent, and {'sent nothing' if not missed.actual else 'sent no more'}"
    )


def _other_bytes(missed: Missed, said: str) -> Failed:
    wanted, got = missed.expected, missed.actual
    if isinstance(wanted, bytes) and isinstance(got, bytes):
        if got.rstrip(b"\n") in (repr(wanted).encode(), repr(wanted.rstrip(b"\n")).encode()):
            return because(missed, f"{said}it sent the text that Python shows for the bytes", Mistake.SENDS_REPR)
        if got.rstrip(b"\n") == repr(bytearray(wanted)).encode():
            return because(missed, f"{said}it sent the text that Python shows for the bytes", Mistake.SENDS_REPR)
    if _lacks_blanks_alone(missed):
        return because(missed, f"{said}only white space is missing in the answer")
    return because(missed, f"{said}it answered with other bytes")


def _lacks_blanks_alone(missed: Missed) -> bool:
    wanted, got = missed.expected, missed.actual
    if not isinstance(wanted, bytes) or not isinstance(got, bytes):
        return False
    return len(got) < len(wanted) and got.split() != [] and b"".join(got.split()) == b"".join(wanted.split())


def _strips(check: Check) -> bool:
    """Whether one more client gets back what strip() or its kin leave of a line with blanks around it."""
    said = b"  blanks around "
    try:
        peer = check.connect("one more client")
        peer.send(said + b"\n")
        got = peer.more(_PROBE)
        got += peer.more(_PROBE / 5) if b"\n" not in got else b""
    except Missed:
        return False
    return got.rstrip(b"\r\n") in {said.strip(), said.lstrip(), said.rstrip()}


def _a_blank_was_next(missed: Missed) -> bool:
    wanted, got = missed.expected, missed.actual
    return isinstance(wanted, bytes) and isinstance(got, bytes) and wanted[len(got) :][:1].isspace()


def _ends_at_a_blank(check: Check) -> bool:
    """Whether one more client's connection is closed when a blank comes alone, and another one's is not when a letter does."""
    ended = {}
    for said in (b"x", b" "):
        try:
            peer = check.connect("one more client")
            peer.send(said)
        except Missed:
            return False
        ended[said] = peer.reaction(_PROBE) is What.END
        peer.close()
    return ended == {b"x": False, b" ": True}


def second_client(check: Check, missed: Missed, peer: Peer | None, mistake: Mistake, before: str) -> Failed:
    """Why a client that came later is not served although one before it was."""
    ended = fate(check)
    if ended is not None and ended.error:
        return because(missed, f"{before}, but then it {ended.words}", Mistake.RAISES)
    if ended is not None:
        return because(missed, f"{before}, but then the program {ended.words}", mistake)
    if missed.what is What.REFUSED or listener_at(check.address) is None:
        return because(missed, f"{before}, but then its listener was closed", mistake)
    end = None if peer is None else peer.far_end()
    if missed.what is What.NOTHING and end is not None and not end.accepted:
        return because(
            missed, f"{before}, but the second one still waits in the listener's queue to be accepted", mistake
        )
    return no_answer(check, missed, before)


def never_closes(check: Check, missed: Missed, peer: Peer, answered: str) -> Failed:
    """Why the end of the stream did not come, after the client had finished and all answers were there."""
    end = peer.far_end()
    if end is None or end.state != TcpState.CLOSE_WAIT:
        return because(missed, f"{answered}, but it did not close the connection")
    pids = check.program.pids()
    before = processor_time(pids)
    began = time.monotonic()
    until(lambda: False, began + min(_BUSY, check.seconds_left))
    after = processor_time(pids)
    if (
        before is not None
        and after is not None
        and after - before > 0.15 * (time.monotonic() - began)
        and _is_alone(check)
    ):
        return because(
            missed,
            f"{answered}, but it did not close the connection, and computes without a pause since then: "
            "in its loop recv() returns b'' again and again",
            Mistake.END_NOT_SEEN,
        )
    return because(
        missed,
        f"{answered}, but it did not close the connection: the client has finished, and the program's socket is still open (CLOSE_WAIT)",
        Mistake.NEVER_CLOSES,
    )


def _is_alone(check: Check) -> bool:
    """Whether the check has started it: what a program of somebody else's computes may be for others."""
    return check.program.ours


def _returned(check: Check) -> bool:
    """Whether the function that listens has returned: without threads of its own, it has taken its listener with it."""
    return bool(getattr(check.program, "returned", lambda: False)())
