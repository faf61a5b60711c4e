"""In which order the calls of a story are drawn: as they ended, but a cause before its effect. Pure. Two threads that end a send and the
recv of its bytes at almost the same moment are recorded in either order; which one caused the other is known from the bytes' places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..story._cast import Actor
    from ..story._events import Event
    from ..story._ledger import Ledger

_WAITED = 0.001
"""Seconds: a send that ended so much later than a recv of its bytes waited for it, and stands where it ended."""


def causes_first(events: Sequence[Event], actors: Mapping[int, Actor], ledger: Ledger) -> list[Event]:
    """The events with each send before the recvs that took its bytes, each connect before the accept of its connection, and each end or
    reset before the call that met it.
    """
    causes: dict[int, list[Event]] = defaultdict(list)
    for piece in ledger:
        send, recv = piece.send, piece.recv
        if send is not None and recv is not None and recv.number < send.number and send.ended - recv.ended < _WAITED:
            causes[recv.number].append(send)
    connects = {
        event.socket: event for event in events if event.call in ("connect", "connect_ex") and event.error is None
    }
    for event in events:
        made = None if event.made is None else actors.get(event.made)
        connect = None if made is None or made.other_end is None else connects.get(made.other_end)
        if connect is not None:
            causes[event.number].append(connect)
    ends: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event.call in ("shutdown", "close", "abort") and event.error is None:
            ends[event.socket].append(event)
    for event in events:
        other = actors[event.socket].other_end
        if other is None or not (event.end_of_stream or event.error in ("ConnectionResetError", "BrokenPipeError")):
            continue
        # The FIN or RST that it met was sent by a call that had begun; of several, the first may have been a shutdown("recv").
        before = [one for one in ends[other] if one.began is None or one.began < event.ended]
        if before and all(one.number > event.number for one in before):
            causes[event.number].append(before[0])
    placed: set[int] = set()
    order: list[Event] = []

    def place(event: Event) -> None:
        if event.number not in placed:
            placed.add(event.number)
            for cause in causes.get(event.number, ()):
                place(cause)
            order.append(event)

    for event in events:
        place(event)
    return order
