"""A megabyte through a server, and what became of it: bytes that never came back, although nothing is on its way, were not sent."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from ._diagnose import because, no_answer
from ._failure import Failed, Missed, What
from ._kernel import until
from ._result import Mistake

if TYPE_CHECKING:
    from ._check import Check
    from ._peer import Peer

_STILL = 0.3  # seconds without a byte: nothing moves
_CHUNK = 1 << 18
_KEY = 16  # so many bytes are found again at one place of the data


def flood(check: Check, peer: Peer, data: bytes, wanted: bytes, *, late: bool) -> None:
    """Sends the data in a thread, and compares what comes back.

    Args:
        late: begin to read only when nothing moves any more.
    """
    sender = threading.Thread(target=_send, args=(peer, data), name="socklens: a check sends", daemon=True)
    sender.start()
    try:
        if late:
            _wait_until_still(check, peer)
        _compare(check, peer, wanted, late)
        sender.join(check.seconds_left)  # all has come back, so that all has been sent
    finally:
        if sender.is_alive():
            peer.abort()  # ends its wait
        sender.join()


def _send(peer: Peer, data: bytes) -> None:
    with contextlib.suppress(Failed):  # the reader sees it, too
        peer.send(data)


def _wait_until_still(check: Check, peer: Peer) -> None:
    last, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal last, since
        sent = peer.conn.totals.sent
        if sent != last:
            last, since = sent, time.monotonic()
        return time.monotonic() - since > _STILL

    until(still, time.monotonic() + check.seconds_left / 3)


def _compare(check: Check, peer: Peer, wanted: bytes, late: bool) -> None:
    got = bytearray()
    when = " to a client that begins to read late" if late else ""
    while len(got) < len(wanted):
        try:
            data = peer.take(wanted, bytes(got[-64:]), min(2.0, check.seconds_left))
        except Missed as missed:
            raise _broken_off(check, missed, peer, len(got), len(wanted), when) from None
        if data != wanted[len(got) : len(got) + len(data)]:
            raise _differs(check, peer, bytes(got) + data, wanted, when)
        got += data


def _broken_off(check: Check, missed: Missed, peer: Peer, came: int, wanted: int, when: str) -> Failed:
    short = because(missed, f"{came:,} of {wanted:,} bytes came back{when}")
    short.expected, short.actual = f"{wanted:,} bytes", f"{came:,} bytes"
    if missed.what is What.NOTHING:
        end = peer.far_end()
        if end is not None and not end.unread and not end.unsent and peer.conn.output_buffer.unacknowledged == 0:
            if peer.more(0.5):
                short.reason += ", and more is coming: it is too slow for this check"
            elif came:
                short.reason += ". The program has read everything and nothing is on its way: it has not sent the rest"
                short.mistake = _send_ignored(check, peer) if when else None
        elif end is not None and end.unread:
            short.reason += f", and the program has left {end.unread:,} bytes unread"
        return short
    failure = no_answer(check, missed, short.reason)
    failure.expected, failure.actual = short.expected, short.actual
    return failure


def _send_ignored(check: Check, peer: Peer) -> Mistake | None:
    """Unless a handler has forked, and two processes take turns to read."""
    return None if peer.is_shared(check.program.pids()) else Mistake.SEND_IGNORED


def _differs(check: Check, peer: Peer, got: bytes, wanted: bytes, when: str) -> Failed:
    """The first byte that is another one; if the stream goes on further down, what lies between was left out."""
    at = next(i for i, (one, other) in enumerate(zip(got, wanted, strict=False)) if one != other)
    tail = got[at : at + _KEY]
    later = wanted.find(tail, at) if len(tail) == _KEY else -1
    failure = Failed(
        f"byte {at:,} of the answer{when} is another one than it should be",
        expected=wanted[at : at + 32],
        actual=got[at : at + 32],
    )
    if later > at:
        failure.reason = (
            f"{later - at:,} bytes are missing in the answer{when}, from byte {at:,} on; what comes after them is there"
        )
        failure.mistake = _send_ignored(check, peer)
    failure.peer = peer
    return failure
