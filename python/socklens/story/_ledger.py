"""Which recv got which bytes of which send: the streams of a story, piece by piece. Derived from the byte counts of the calls alone,
which the
recorder takes under the lock of each direction; no content is compared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from ..display.escape import quoted
from ._cast import ENDS, Actor, cast
from ._events import Event
from ._wires import Wired, between

Fate = Literal["taken", "put back", "not taken", "never read", "elsewhere", "not seen taken", "not seen sent"]

_MOST_PRINTED = 40


@dataclass(frozen=True)
class Piece:
    """Bytes that one send and one recv have in common: a frozen row of the ledger.

    Attributes:
        sender: the number of the socket that sent them; None if it is not in the story.
        receiver: the number of the socket that they were sent to; None if it is not in the story.
        send: the call that sent them, or None.
        recv: the call that took them, or None.
        start: their place in the stream: how many bytes came before them.
        end: the place of the byte after them.
        fate: "taken" (this recv took them from this send), "put back" (it took them again after an unrecv), "not taken" (sent, and
            taken by no call so far: they lie in a buffer of either end, or are between them), "never read" (the receiving socket was
            closed without taking them), "elsewhere" (later bytes were taken, so a call that is not recorded took these), "not seen
            taken" (the story cannot know: the other end is not in it, is a socket of Python's, was detached, or its calls were
            dropped) or "not seen sent" (no recorded call sent them).
    """

    sender: int | None
    receiver: int | None
    send: Event | None
    recv: Event | None
    start: int
    end: int
    fate: Fate

    @property
    def count(self) -> int:
        """How many bytes there are."""
        return self.end - self.start

    @property
    def head(self) -> bytes:
        """The first of them, as far as the send's or the recv's own first bytes were kept."""
        for event in (self.send, self.recv):
            if event is not None and event.offset is not None:
                start = self.start - event.offset
                if 0 <= start < len(event.head):
                    return event.head[start : start + self.count]
        return b""

    def to_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {
            "sender": self.sender,
            "receiver": self.receiver,
            "send": None if self.send is None else self.send.number,
            "recv": None if self.recv is None else self.recv.number,
            "start": self.start,
            "end": self.end,
            "count": self.count,
            "fate": self.fate,
            "head": self.head.hex(),
        }


class Ledger(Sequence[Piece]):
    """Which recv got which bytes of which send, and what nobody has taken: rows in the order of the streams.

    `ledger.sent`, `ledger.taken` and `ledger.not_taken` are sums in bytes. Where both ends of every connection are in the story and
    nothing was
    reset, `sent == taken + not_taken`.
    """

    def __init__(self, pieces: Sequence[Piece], actors: Mapping[int, Actor], notes: Sequence[str] = ()) -> None:
        self._pieces = tuple(pieces)
        self._actors = dict(actors)
        self.notes = tuple(notes)

    notes: tuple[str, ...]
    """Where streams that belong together are not joined, in sentences: through a wire go two connections."""

    def __len__(self) -> int:
        return len(self._pieces)

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Piece, ...]: ...
    def __getitem__(self, index: int | slice) -> Piece | tuple[Piece, ...]:
        return self._pieces[index]

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def _sum(self, *fates: Fate) -> int:
        return sum(piece.count for piece in self._pieces if piece.fate in fates)

    @property
    def sent(self) -> int:
        """Bytes that recorded calls handed to the kernel."""
        return self._sum("taken", "not taken", "never read", "elsewhere", "not seen taken")

    @property
    def taken(self) -> int:
        """Bytes of recorded sends that recorded calls took; taken twice (after an unrecv) counts once."""
        return self._sum("taken")

    @property
    def not_taken(self) -> int:
        """Bytes sent that nobody has taken yet."""
        return self._sum("not taken")

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as plain dicts, which pandas takes."""
        return [piece.to_dict() for piece in self._pieces]

    def _rows(self, most: int) -> tuple[list[tuple[str, ...]], int]:
        rows = [self._row(piece) for piece in self._pieces[:most]]
        return rows, len(self._pieces) - len(rows)

    def _row(self, piece: Piece) -> tuple[str, ...]:
        shown = piece.head[:16]
        return (
            self._end(piece.sender, piece.send),
            self._end(piece.receiver, piece.recv),
            f"{piece.start:,}–{piece.end:,}",
            f"{piece.count:,} B",
            piece.fate,
            quoted(shown) + ("…" if piece.count > len(shown) else "") if shown else "",
        )

    def _end(self, socket: int | None, event: Event | None) -> str:
        actor = None if socket is None else self._actors.get(socket)
        words = [] if event is None else [f"#{event.number} {event.call}"]
        return ": ".join([*words, actor.short if actor is not None else "not in the story"])

    def _summary(self) -> str:
        words = [f"{self.sent:,} B sent, {self.taken:,} B taken, {self.not_taken:,} B not taken"]
        rest: tuple[Fate, ...] = ("never read", "elsewhere", "not seen taken", "not seen sent")
        words += [f"{count:,} B {fate}" for fate in rest if (count := self._sum(fate))]
        return ", ".join(words)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self._pieces):,} pieces: {self._summary()}>"

    def __str__(self) -> str:
        from ..display.ledger import ledger_text

        return ledger_text(*self._rows(_MOST_PRINTED), self._summary(), self.notes)

    def _repr_html_(self) -> str:
        from ..display.ledger import ledger_html

        return ledger_html(*self._rows(5 * _MOST_PRINTED), self._summary(), self.notes)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("<Ledger …>" if cycle else str(self))


def ledger(
    events: Sequence[Event], lost: int = 0, names: Mapping[int, str] | None = None, wires: Sequence[Wired] = ()
) -> Ledger:
    """The ledger of these events; so many before them were dropped."""
    actors = cast(events, names or {})
    sends: dict[int, list[Event]] = defaultdict(list)
    reads: dict[int, list[Event]] = defaultdict(list)
    backs: set[int] = set()
    closed: set[int] = set()
    given_away: set[int] = set()
    for event in events:
        if event.call in ENDS and event.error is None:
            (given_away if event.call == "detach" else closed).add(event.socket)
        if event.offset is None or event.count is None:
            continue
        if event.direction == "out":
            sends[event.socket].append(event)
        elif event.direction == "in":
            reads[event.socket].append(event)
        else:
            backs.add(event.socket)
    pieces: list[Piece] = []
    streams: list[tuple[int | None, int | None]] = [(sender, actors[sender].other_end) for sender in sends]
    streams += [(actors[reader].other_end, reader) for reader in reads if actors[reader].other_end not in sends]
    for sender, receiver in streams:
        here = sorted(sends.get(sender, []) if sender is not None else [], key=lambda e: (e.offset, e.number))
        there = reads.get(receiver, []) if receiver is not None else []
        if receiver not in backs:
            # Two threads' calls may have been recorded the other way round than they took their bytes.
            there = sorted(there, key=lambda e: (e.offset, e.number))
        left: Fate = "never read" if receiver in closed else "not taken"
        if receiver is None or receiver in given_away or actors[receiver].stdlib:
            left = "not seen taken"
        pieces += _stream(sender, receiver, here, there, left, events[0].ended if lost else None)
    return Ledger(pieces, actors, between(actors.values(), wires))


def _stream(
    sender: int | None,
    receiver: int | None,
    sends: Sequence[Event],
    reads: Sequence[Event],
    left: Fate,
    lost_until: float | None,
) -> list[Piece]:
    """One direction of one connection. `reads` are in the order of the calls, `sends` in the order of the stream. What ended until
    `lost_until` was dropped: it may have taken bytes of a send that had begun by then.
    """
    pieces = []
    starts = [event.offset or 0 for event in sends]
    frontier: int | None = None  # up to here somebody has read
    seen: list[tuple[int, int]] = []  # what recorded reads took for the first time
    for read in reads:
        start = read.offset or 0
        end = start + (read.count or 0)
        if frontier is not None and start < frontier:
            again = min(end, frontier)
            pieces.append(Piece(sender, receiver, None, read, start, again, "put back"))
            start = again
        frontier = end if frontier is None else max(frontier, end)
        if start < end:
            seen.append((start, end))
            for send, piece_start, piece_end in _cut(sends, starts, start, end):
                fate: Fate = "not seen sent" if send is None else "taken"
                pieces.append(Piece(sender, receiver, send, read, piece_start, piece_end, fate))
    for send in sends:
        start = send.offset or 0
        for gap_start, gap_end in _gaps(seen, start, start + (send.count or 0)):
            middle = max(gap_start, min(gap_end, frontier or gap_start))
            if gap_start < middle:
                pieces.append(Piece(sender, receiver, send, None, gap_start, middle, "elsewhere"))
            if middle < gap_end:
                unsure = lost_until is not None and (send.began is None or send.began <= lost_until)
                pieces.append(
                    Piece(sender, receiver, send, None, middle, gap_end, "not seen taken" if unsure else left)
                )
    return sorted(pieces, key=lambda p: (p.start, p.recv.number if p.recv else 1 << 62))


def _cut(
    sends: Sequence[Event], starts: Sequence[int], start: int, end: int
) -> Iterator[tuple[Event | None, int, int]]:
    """Which sends the bytes from `start` to `end` came from."""
    index = max(bisect_right(starts, start) - 1, 0)
    while start < end:
        if index >= len(sends):
            yield None, start, end
            return
        send_start = starts[index]
        send_end = send_start + (sends[index].count or 0)
        if start < send_start:
            upto = min(end, send_start)
            yield None, start, upto
            start = upto
        elif start < send_end:
            upto = min(end, send_end)
            yield sends[index], start, upto
            start = upto
        else:
            index += 1


def _gaps(seen: Sequence[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts from `start` to `end` that are in none of `seen`, which is in order."""
    index = max(bisect_right(seen, (start, 1 << 62)) - 1, 0)
    while start < end and index < len(seen):
        seen_start, seen_end = seen[index]
        if seen_start >= end:
            break
        if start < seen_start:
            yield start, seen_start
        start = max(start, seen_end)
        index += 1
    if start < end:
        yield start, end
