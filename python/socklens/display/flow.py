"""Where the bytes of one direction are, from the sender's send to the receiver's recv, and by which send each of them came. Pure
functions of frozen views: what they say follows from the numbers in the views alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .ends import EndView, PairView, SendsView

_SHOWN = 48  # bytes of a piece's content that a picture may show


class Place(Enum):
    """The places of a byte on its way, in the order of the way."""

    WAITING = "in the sender's program"
    UNSENT = "not sent yet"
    ON_THE_WAY = "sent, not arrived"
    IN_BOTH = "arrived, ACK to come"
    QUEUE = "receive queue"
    MEMORY = "Rust memory"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of bytes of one send, `start` to `stop` in the stream. Send None: older than the sends that are remembered."""

    send: int | None
    start: int
    stop: int
    first: bytes
    whole: bool
    """Whether it is all of the send."""

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Stage:
    """What is at one place, oldest byte first. Count None: not known."""

    place: Place
    count: int | None
    pieces: tuple[Piece, ...] = ()
    capacity: int | None = None
    instead: str = "unknown"
    """What stands where the count is not known: "closed" where the end is, and its buffers are no more."""


@dataclass(frozen=True, slots=True)
class Law:
    """The conservation of bytes in one direction, checked: every byte sent is taken, buffered or outstanding. Holds None: it
    cannot be checked, for the reason in `why`; False: the numbers contradict each other, and `why` says how that may come.
    """

    holds: bool | None
    sent: int | None
    taken: int | None
    memory: int | None
    queue: int | None
    outstanding: int | None
    both: int
    """Bytes that are still in the sender's output buffer and already in the receiver's hands: counted once."""
    why: str = ""
    over: bool = False
    """An end is closed, so that no more will be known than how much was sent and taken."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a connection."""

    sender: str
    receiver: str
    sends: int | None
    stages: tuple[Stage, ...]
    law: Law

    @property
    def silent(self) -> bool:
        """Whether nothing was ever sent this way."""
        return self.law.sent == 0 and not any(stage.count for stage in self.stages)


def flows(pair: PairView) -> tuple[Flow, Flow]:
    """Both directions: from a to b, and from b to a."""
    return flow(pair.a, pair.b, steady=pair.steady), flow(pair.b, pair.a, steady=pair.steady)


def flow(sender: EndView, receiver: EndView, *, steady: bool = True) -> Flow:
    """One direction."""
    law = check(sender, receiver, steady=steady)
    out, into = sender.conn.output, receiver.conn.input
    taken, memory, queue = law.taken, law.memory, law.queue
    sent = law.sent
    sends = sender.sends
    if sends is not None and (law.holds is False or sent != sends.sent or (taken is not None and taken < 0)):
        sends = None  # positions in the stream are not known, so neither are the sends of the bytes
    borders = list(_borders(sends, sent))

    def stage(place: Place, start: int | None, count: int | None, content: bytes, capacity: int | None = None) -> Stage:
        if count is None:
            at_receiver = place in (Place.QUEUE, Place.MEMORY, Place.TAKEN)
            closed = (receiver if at_receiver else sender).conn.closed
            return Stage(place, None, (), capacity, "closed" if closed and place is not Place.TAKEN else "unknown")
        base = 0 if start is None else start
        known = borders if start is not None else []
        return Stage(place, count, tuple(_pieces(base, base + count, content, known)), capacity)

    in_content = b"" if into is None else into.first
    out_content = b"" if out is None else out.first
    stages = []
    if out is None or sent is None:
        unsent = None if out is None else out.unsent
        unacknowledged = None if out is None else out.unacknowledged
        stages.append(stage(Place.UNSENT, None, unsent, out_content[unacknowledged or 0 :]))
        stages.append(stage(Place.ON_THE_WAY, None, unacknowledged, out_content))
    else:
        unsent = out.unsent or 0
        begin = sent - out.unacknowledged - unsent
        both = min(law.both, out.unacknowledged) if law.holds else 0
        cuts = (both, out.unacknowledged, out.unacknowledged + unsent)
        if out.rust:
            stages.append(stage(Place.WAITING, sent, out.rust, out_content[cuts[2] :]))
        stages.append(stage(Place.UNSENT, begin + cuts[1], unsent, out_content[cuts[1] :], out.capacity))
        stages.append(
            stage(Place.ON_THE_WAY, begin + both, out.unacknowledged - both, out_content[both:], out.capacity)
        )
        if both:
            stages.append(stage(Place.IN_BOTH, begin, both, out_content, out.capacity))
    at = None if taken is None else taken + (memory or 0)
    stages.append(stage(Place.QUEUE, at, queue, in_content[memory or 0 :], None if into is None else into.capacity))
    stages.append(stage(Place.MEMORY, taken, memory, in_content))
    stages.append(stage(Place.TAKEN, 0 if taken is not None else None, None if taken is None else max(taken, 0), b""))
    return Flow(sender.name, receiver.name, None if sends is None else sends.count, tuple(stages), law)


def check(sender: EndView, receiver: EndView, *, steady: bool = True) -> Law:
    """Checks that no byte is missing and none too many: sent = taken + Rust memory + receive queue + outstanding."""
    out, into = sender.conn.output, receiver.conn.input
    sent, taken = sender.conn.sent, receiver.taken
    memory, queue = (None, None) if into is None else (into.rust, into.kernel)
    if receiver.queued is not None:
        memory, queue = 0, receiver.queued
    outstanding = None if out is None else out.unacknowledged + (out.unsent or 0)

    def law(holds: bool | None, why: str = "", both: int = 0, *, over: bool = False) -> Law:
        return Law(holds, sent, taken, memory, queue, outstanding, both, why, over)

    if sent is None or taken is None:
        return law(None, f"only socklens connections count what they {'send' if sent is None else 'take'}")
    if memory is None or queue is None:
        if sent == taken:
            return law(True)
        return law(None, f"{receiver.name} is closed: what it had not read is gone", over=receiver.conn.closed)
    arrived = taken + memory + queue
    if outstanding is None:
        if arrived == sent:
            return law(True)
        return law(None, f"{sender.name} is closed: what it still had to send is not seen", over=sender.conn.closed)
    both = arrived + outstanding - sent
    if 0 <= both <= (out.unacknowledged if out is not None else 0):
        return law(True, both=both)
    if not steady:
        return law(None, "bytes moved while the lens looked; look again")
    if "CLOSED" in (sender.conn.state, receiver.conn.state):
        return law(None, "the connection was reset, and its queues were emptied")
    amount = f"{abs(both):,} B {'too many' if both > 0 else 'missing'}"
    return law(False, f"{amount}: a call sent or took them that these two objects do not count")


def _borders(sends: SendsView | None, sent: int | None) -> Iterator[tuple[int | None, int, int]]:
    """The sends as (number, start, stop); what is older than those remembered has no number."""
    if sends is None or sent is None:
        return
    number = sends.count - len(sends.ends)
    start = 0
    for end in sends.ends:
        number += 1
        # Where older sends are forgotten, so is the start of the first that is not.
        yield (None if start == 0 and number > 1 else number), start, end
        start = end
    if start < sent:
        yield sends.count + 1, start, sent  # it goes on


def _pieces(start: int, stop: int, content: bytes, borders: list[tuple[int | None, int, int]]) -> Iterator[Piece]:
    """The bytes from `start` to `stop` of the stream, cut where a send ends; `content` begins at `start`."""
    at = start
    for number, begin, end in borders:
        low, high = max(begin, at), min(end, stop)
        if low >= high:
            continue
        if at < low:
            yield Piece(None, at, low, content[at - start : low - start][:_SHOWN], False)
        yield Piece(number, low, high, content[low - start : high - start][:_SHOWN], (low, high) == (begin, end))
        at = high
    if at < stop:
        yield Piece(None, at, stop, content[at - start : stop - start][:_SHOWN], False)
