"""The layout of a story's ladder diagram: which lifeline stands where, which row a call has, which arrows go between them. Pure: the same
story gives the same layout. Nothing is drawn here, and everything that a peer may have chosen has passed `escape`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .escape import cut, escape, quoted
from .ladder_order import causes_first

if TYPE_CHECKING:
    from ..story._cast import Actor
    from ..story._events import Event
    from ..story._ledger import Ledger

MOST_ROWS = 240
MOST_COLUMNS = 12
_REPEATS = 4  # so many rounds of the same calls become one
_LONGEST_ROUND = 8
_WORTH_TELLING = 0.001  # seconds
_LEFT = ("not taken", "never read")
_HANDLER = "handler"
_CLOSING = ("close", "abort", "detach")
_MOST_SAID = 80  # characters of what a handler's exception says

Kind = Literal["out", "in", "life", "error", "look"]
Line = Literal["bytes", "pending", "inferred", "birth"]


@dataclass(frozen=True, slots=True)
class Column:
    """One lifeline."""

    socket: int
    role: str
    title: str
    endpoint: str
    label: str
    outward: Literal["left", "right"]
    """On which side its calls are named: away from its other end."""
    gap: int
    """How much room is on its left, in units of one label: a half between two ends."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A call, or several that were folded into one."""

    column: int
    top: int
    """The row in which it began."""
    row: int
    """The row in which it ended."""
    kind: Kind
    text: str
    state: str | None
    """The state that was seen then, where it is news."""
    numbers: tuple[int, ...]
    """The events."""

    @property
    def label(self) -> str:
        """Their numbers, as the ledger has them."""
        first, last = self.numbers[0], self.numbers[-1]
        if first == last:
            return f"#{first}"
        return f"#{first}{'–' if last - first == len(self.numbers) - 1 else '…'}#{last}"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Something that went from one lifeline to another; towards column None it has not arrived."""

    start: tuple[int, int]
    """Column and row."""
    end: tuple[int | None, int]
    line: Line
    text: str
    number: int | None = None
    """The event that it comes from, of several the first; None where nothing was sent by a call."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A ladder diagram in columns and rows."""

    columns: tuple[Column, ...]
    times: tuple[str, ...]
    """What stands beside each row."""
    marks: tuple[Mark, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[str, ...]
    """What is not drawn, in sentences."""
    summary: str

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.times)


@dataclass(slots=True)
class _Item:
    """Calls in one row."""

    events: list[Event]
    row: int = 0
    top: int = 0
    arrows: dict[int, int] = field(default_factory=dict)


def layout(events: Sequence[Event], actors: Mapping[int, Actor], ledger: Ledger, lost: int = 0) -> Layout:
    """Lays a story out."""
    columns = _columns(actors)
    place = {column.socket: i for i, column in enumerate(columns)}
    shown = [event for event in causes_first(events, actors, ledger) if event.socket in place]
    items = _fold(shown, place)
    left = {p.send.number for p in ledger if p.send is not None and p.recv is None and p.fate in _LEFT}
    times = _rows(items, actors, place, left)
    of_event = {event.number: item for item in items for event in item.events}
    notes = list(ledger.notes)
    if len(shown) < len(events):
        hidden = len(actors) - len(columns)
        notes.append(f"{hidden:,} more sockets with {len(events) - len(shown):,} calls are not drawn")
    if lost:
        notes.append(f"{lost:,} earlier calls were dropped, because more were made than the recording keeps")
    if len(items) < len(shown):
        notes.append(f'{len(shown):,} calls are drawn in {len(items):,} rows: "times" tells how many are in one')
    marks = _marks(items, place)
    arrows = [*_bytes(ledger, of_event, place), *_inferred(items, actors, place)]
    failed = sum(event.call == _HANDLER for event in events)
    kinds = f"{_counted(len(events) - failed, 'call')} on {_counted(len(actors), 'socket')}"
    kinds += f"; {ledger.sent:,} bytes sent, {ledger.taken:,} taken"
    if failed:
        kinds += f"; {_counted(failed, 'handler')} failed"
    if not events:
        kinds = "nothing happened: no call on a socket of socklens ended while this was recorded"
    return Layout(tuple(columns), tuple(times), tuple(marks), tuple(arrows), tuple(notes), kinds)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# -- columns


def _columns(actors: Mapping[int, Actor]) -> list[Column]:
    """The two ends of a connection stand side by side, a listener between its first client and that client's socket."""
    columns: list[Column] = []
    done: set[int] = set()

    def add(socket: int, outward: Literal["left", "right"], gap: int) -> None:
        if socket not in done:
            done.add(socket)
            actor = actors[socket]
            columns.append(
                Column(
                    socket, actor.role, escape(actor.title), escape(actor.endpoint), escape(actor.label), outward, gap
                )
            )

    for actor in sorted(actors.values(), key=lambda a: a.role == "listener"):
        if len(columns) >= MOST_COLUMNS:
            break
        if actor.socket in done:
            continue
        other = None if actor.other_end is None else actors[actor.other_end]
        if actor.role == "listener" or other is None:
            add(actor.socket, "right", 1)
            continue
        left, right = (other, actor) if actor.role == "accepted" else (actor, other)
        add(left.socket, "left", 2)
        if right.listener in actors and right.listener is not None:
            add(right.listener, "right", 1)
        add(right.socket, "right", 1)
    return columns


# -- rows


def _token(event: Event) -> tuple[int, str, str | None]:
    return event.socket, event.call, event.error


def _fold(events: Sequence[Event], place: Mapping[int, int]) -> list[_Item]:
    """Rounds of the same calls become one round; and if there are still too many rows, what happened in the same stretch of time."""
    tokens = [_token(event) for event in events]
    items: list[_Item] = []
    at = 0
    while at < len(events):
        length, rounds = 1, 1
        for size in range(1, _LONGEST_ROUND + 1):
            again = 1
            while tokens[at : at + size] == tokens[at + again * size : at + (again + 1) * size]:
                again += 1
            if again >= _REPEATS and again * size > length * rounds:
                length, rounds = size, again
        end = at + length * rounds
        items += [_Item(list(events[at + i : end : length])) for i in range(length)]
        at = end
    stretch = 2
    folded = items
    while len(folded) > MOST_ROWS and stretch < 2 * len(items):
        folded = []
        for start in range(0, len(items), stretch):
            together: dict[object, _Item] = {}
            for item in items[start : start + stretch]:
                first = item.events[0]
                # How a connection begins and ends is not lost in a crowd.
                of_life = first.direction is None and (first.error is None or first.call == _HANDLER)
                alone = first.made in place or (of_life and first.made is None)
                together.setdefault(first.number if alone else _token(first), _Item([])).events.extend(item.events)
            folded += together.values()
        stretch *= 2
    return folded


def _rows(
    items: Sequence[_Item], actors: Mapping[int, Actor], place: Mapping[int, int], left: Collection[int]
) -> list[str]:
    """Gives every item its row, and every row its time. Below a send that has bytes `left` there is a row that says so."""
    times: list[str] = []
    ends: list[float] = []
    for item in items:
        first, last = item.events[0], item.events[-1]
        # A call that waited began above others that ended before it.
        top = len(ends)
        if first.began is None:
            top = 0
        while len(item.events) == 1 and top > 0 and ends[top - 1] > (first.began or 0) and len(ends) - top < MOST_ROWS:
            top -= 1
        item.top = top
        # The three segments of a handshake need three rows; and a wait is to be seen as length, even if nothing else happened meanwhile.
        alone = len(item.events) == 1 and top == len(ends) and (first.began is None or _waited(item.events) > 0)
        extra = 2 if _listener(first, actors, place) is not None else int(alone)
        item.row = len(times) + extra
        # Of several calls, when the first of them ended: so that the rows are in the order of time.
        times += [""] * extra + [_time(first.ended)]
        ends += [last.ended] * (extra + 1)
        if any(one.number in left for one in item.events):
            times.append("")
            ends.append(last.ended)
    return times


def _time(seconds: float) -> str:
    if abs(seconds) >= 1:
        return f"{seconds:.3f} s"
    return f"{seconds * 1e3:.2f} ms"


def _listener(event: Event, actors: Mapping[int, Actor], place: Mapping[int, int]) -> int | None:
    """The listener's column, for a connect that was answered."""
    if event.call not in ("connect", "connect_ex") or event.error is not None:
        return None
    other = actors[event.socket].other_end
    listener = None if other is None else actors[other].listener
    return None if listener is None else place.get(listener)


def _marks(items: Sequence[_Item], place: Mapping[int, int]) -> list[Mark]:
    marks = []
    states: dict[int, str] = {}
    closed = {event.socket: event.ended for item in items for event in item.events if event.call in _CLOSING}
    for item in items:
        event = item.events[-1]
        # A wait that a close() of this program's has ended, as a server's stop does, is no fault; a call on what is closed already is one.
        by_close = (
            event.error == "ClosedError" and event.began is not None and event.began < closed.get(event.socket, 0)
        )
        state = event.after or event.before
        news = None
        if state is not None and states.get(event.socket) != state.name:
            news = states[event.socket] = state.name
        numbers = tuple(one.number for one in item.events)
        kind: Kind = "life" if by_close else _kind(event)
        text = _text(item.events).replace("ClosedError", "ended by close()") if by_close else _text(item.events)
        marks.append(Mark(place[event.socket], item.top, item.row, kind, text, news, numbers))
    return marks


def _waited(events: Sequence[Event]) -> float:
    """The longest of these calls, in seconds; 0 if that is not worth telling."""
    longest = max(event.seconds or 0 for event in events)
    return longest if longest >= _WORTH_TELLING else 0


def _kind(event: Event) -> Kind:
    if event.error is not None:
        return "error"
    if event.direction is not None:
        return "out" if event.direction == "out" else "in"
    return "look" if event.call == "peek" else "life"


def _text(events: Sequence[Event]) -> str:
    """What a call did, in a few words."""
    event = events[0]
    words = [escape(event.call)]
    count = sum(one.count or 0 for one in events)
    if len(events) > 1:
        words.append(f"{len(events):,} times{',' if count else ''}")
    if count:
        words.append(size(count))
        if len(events) == 1 and event.head:
            words.append(quoted(event.head[:12]) + ("…" if count > 12 else ""))
    if event.error is not None:
        words.append(escape(event.error))
        if event.call == _HANDLER and event.message and len(events) == 1:
            # A backslash stays: what a message quotes is escaped in it already.
            words[-1] += ": " + cut(escape(event.message, keep="\\"), _MOST_SAID)
    elif event.end_of_stream and not count:
        words.append("end of stream")
    elif event.reset:
        words.append("(RST)")
    waited = _waited(events)
    if len(events) > 1 and waited:
        words.append(f"[longest {_time(waited)}]")
    elif waited:
        words.append(f"[{_time(waited)}]")
    if event.began is None:
        words.append("[began before]")
    return " ".join(words)


def size(count: int) -> str:
    """A number of bytes, as short as it can be read."""
    if count < 1000:
        return f"{count} B"
    for unit, one in (("KB", 1e3), ("MB", 1e6)):
        if count < 999.5 * one:
            return f"{count / one:.3g} {unit}"
    return f"{count / 1e9:,.3g} GB"


# -- arrows


def _bytes(ledger: Ledger, of_event: Mapping[int, _Item], place: Mapping[int, int]) -> list[Arrow]:
    """One arrow for all the bytes that went from the calls of one row to those of another."""
    between: dict[tuple[int, int, int | None, int], int] = defaultdict(int)
    first: dict[tuple[int, int, int | None, int], int] = {}
    for piece in ledger:
        if piece.send is None or piece.send.number not in of_event or (piece.recv is None and piece.fate not in _LEFT):
            continue
        start = of_event[piece.send.number]
        end = None if piece.recv is None else of_event.get(piece.recv.number)
        column = place[piece.send.socket]
        key: tuple[int, int, int | None, int]
        if end is not None and piece.recv is not None:
            key = column, start.row, place[piece.recv.socket], max(end.row, start.top)
        elif piece.recv is None:
            key = column, start.row, None, _LEFT.index(piece.fate)
        else:
            continue
        between[key] += piece.count
        first.setdefault(key, piece.send.number)
    arrows = []
    for key, count in between.items():
        column, row, other, other_row = key
        if other is None:
            arrows.append(
                Arrow((column, row + 1), (None, row + 1), "pending", f"{size(count)} {_LEFT[other_row]}", first[key])
            )
        else:
            # A send that waited for its reader ended after the reader had its bytes.
            arrows.append(Arrow((column, min(row, other_row)), (other, other_row), "bytes", size(count), first[key]))
    return arrows


def _inferred(items: Sequence[_Item], actors: Mapping[int, Actor], place: Mapping[int, int]) -> list[Arrow]:
    """Steps that no call shows: segments of the handshake and of the end, and which socket an accept made."""
    arrows = []
    finished: set[int] = set()
    end_seen: dict[int, int] = {}
    for item in items:
        for event in item.events:
            if event.end_of_stream or event.error in ("ConnectionResetError", "BrokenPipeError"):
                end_seen.setdefault(event.socket, item.row)
    for item in items:
        for event in item.events:
            here = place[event.socket], item.row
            listener = _listener(event, actors, place)
            if listener is not None:
                row = item.row
                arrows.append(Arrow((here[0], row - 2), (listener, row - 2), "inferred", "SYN"))
                arrows.append(Arrow((listener, row - 1), (here[0], row - 1), "inferred", "SYN+ACK"))
                arrows.append(Arrow((here[0], row), (listener, row), "inferred", "ACK"))
            if event.made in place and event.made is not None:
                arrows.append(Arrow(here, (place[event.made], item.row), "birth", "new socket"))
            segment = _segment(event, finished)
            other = actors[event.socket].other_end
            if segment is not None and other in place and other is not None:
                row = max(item.row, end_seen.get(other, item.row)) if event.call != "accept" else item.row
                arrows.append(Arrow(here, (place[other], row), "inferred", segment))
    return arrows


def _segment(event: Event, finished: set[int]) -> str | None:
    """What the kernel has to send when this call ends the connection, or one direction of it."""
    if event.error is not None or event.call not in ("shutdown", "close", "abort"):
        return None
    if event.reset or event.call == "abort":
        return "RST"
    over = event.socket in finished or (
        event.before is not None and event.before.name not in ("ESTABLISHED", "CLOSE_WAIT")
    )
    # shutdown("recv") sends nothing, and leaves the state as it is.
    silent = event.call == "shutdown" and event.before is not None and event.before == event.after
    if over or silent:
        return None
    finished.add(event.socket)
    return "FIN"
