"""`record()` and the Story that it gives: what was recorded, asked for in many forms. It draws nothing itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .._door import door
from .._socklens import _record_clock, _Recording
from ._cast import Actor, cast
from ._events import Event, event
from ._ledger import Ledger, ledger
from ._wires import Wired, wires

if TYPE_CHECKING:
    import socket

    from ..display.ladder import Layout

    Socket = TypeVar("Socket", bound=socket.socket)

LIMIT = 65_536


def record(limit: int = LIMIT) -> Story:
    """Records what happens to sockets while a `with` block runs, in every thread.

        with sl.record() as story:
            client, server = sl.pair()
            client.sendall(b"hello")
            server.recv()
        story            # in a notebook: the ladder diagram; print(story) in a terminal
        story.ledger()   # which recv got which bytes of which send

    Every call on a socklens object that ends meanwhile is an event; one that was under way already has no begin. Where a server's handler
    fails, that is an event of its client's connection. In a drawing a cause
    stands above its effect, with the times as measured. Of the bytes only the count and the first 32 are kept. Recordings
    may be
    nested: each has what ended in its own time. A call takes less than 1 µs more while somebody records, and nothing that could be measured
    otherwise.

    Args:
        limit: the most events to keep; then the oldest are dropped, and counted in `story.lost`.

    Raises:
        ValueError: limit is below 1.
    """
    return Story(limit)


class Story:
    """What `record()` has recorded: a ladder diagram in a notebook, a text drawing with `print(story)`.

    It may be asked while it is still being recorded, and for ever after.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"limit is the number of events to keep, 1 or more, not {limit}")
        self._limit = limit
        self._recording: _Recording | None = None
        self._over = False
        self._start = 0
        self._began: float | None = None
        self._events: list[Event] = []
        self._count = 0
        self._included: list[Any] = []
        self._names: dict[int, str] = {}
        self._wires: tuple[Wired, ...] = ()

    def __enter__(self) -> Self:
        if self._recording is not None or self._over:
            raise RuntimeError("a story is recorded once: call socklens.record() again for another one")
        self._start = _record_clock()
        self._began = time.time()
        self._recording = _Recording(self._limit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take()
        recording, self._recording = self._recording, None
        self._over = True
        if recording is not None:
            recording.stop()
        if self._events:
            from ._names import names

            self._names = names({one.socket for one in self._events}, sys._getframe(1))
            self._wires = wires(sys._getframe(1))
        if self._included:
            from ._stdlib import leave

            leave(self._included)

    def include(self, *socks: Socket) -> None:
        """Records calls on these sockets of Python's own `socket` module too, until the story ends.

        The objects stay the same: for this time their class is a subclass that records `connect`, `connect_ex`, `listen`, `accept`, `send`,
        `sendall`, `sendmsg`, `sendfile`, `recv`, `recv_into`, `recvmsg`, `shutdown`, `close` and `detach`, and so what
        `makefile()`, http.client or an event loop does through these. A socket that an included one accepts is included too. What
        passes the
        object by is not seen: `os.read` on its number, TLS, a loop that is written in C (uvloop), another process. Among several
        threads that
        send on one such socket at the same moment, the order of their bytes is not known, and the ledger takes that of the calls' ends.

        Raises:
            TypeError: not a plain `socket.socket`; socklens objects are recorded without this. RuntimeError: the story is not being
            recorded.
        """
        with door:
            if self._recording is None:
                raise RuntimeError("include() works while the story is being recorded: inside its with block")
            from ._stdlib import include

            for sock in socks:
                include(sock, self._included)

    def _take(self) -> None:
        """Takes over what has been recorded since the last time."""
        if self._recording is None:
            return
        lost, rows = self._recording.events(self._count)
        first = max(lost, self._count)
        self._events += [event(first + i + 1, row, self._start) for i, row in enumerate(rows)]
        self._count = first + len(rows)
        del self._events[: max(0, len(self._events) - self._limit)]

    def _known(self) -> dict[int, str]:
        """What the program calls the sockets: when the story ended, or now while it is being recorded."""
        if not self.recording:
            return self._names
        from ._names import names

        return names({one.socket for one in self._events}, None)

    def _cast(self, events: Sequence[Event]) -> dict[int, Actor]:
        return cast(events, self._known())

    @property
    def events(self) -> tuple[Event, ...]:
        """The recorded calls, in the order in which they ended: frozen rows."""
        self._take()
        return tuple(self._events)

    @property
    def lost(self) -> int:
        """How many events were dropped because there were more than `limit`."""
        self._take()
        return self._count - len(self._events)

    @property
    def recording(self) -> bool:
        """Whether it is still being recorded."""
        return self._recording is not None

    def ledger(self) -> Ledger:
        """Which recv got which bytes of which send, as a table, and what nobody has taken yet."""
        return self._ledger(self.events)

    def _ledger(self, events: Sequence[Event]) -> Ledger:
        return ledger(events, self.lost, self._known(), wires(None) if self.recording else self._wires)

    # -- as a drawing

    def _layout(self) -> Layout:
        from ..display.ladder import layout

        events = self.events
        return layout(events, self._cast(events), self._ledger(events), self.lost)

    def to_svg(self) -> str:
        """The ladder diagram as SVG, to be saved in a file: light or dark as the reader's system is.

        A lifeline for every socket, a row for every call. A filled mark sends, a hollow one receives, a diamond opens or ends, a cross
        failed; a bar
        is a call that waited. Solid arrows are bytes, from the send to the recv that took them; dashed ones are segments that follow
        from the calls
        and that nobody saw. Repeated calls are folded into one, with their number; more than 12 lifelines are not drawn but counted.
        """
        from ..display.ladder_svg import ladder_svg

        return ladder_svg(self._layout())

    def to_html(self) -> str:
        """The ladder diagram as one HTML page that needs no network; what was folded can be opened row by row."""
        from ..display.ladder_svg import ladder_html

        events = self.events
        return ladder_html(self._layout(), events, self._cast(events), page=True)

    def to_mermaid(self) -> str:
        """The ladder diagram as text for Mermaid (mermaid.js.org), which many wikis and Markdown viewers draw."""
        from ._mermaid import mermaid

        return mermaid(self._layout())

    def to_text(self, width: int = 100) -> str:
        """The ladder diagram as text, no line wider than `width` columns (40 at least)."""
        from ..display.ladder_text import ladder_text

        return ladder_text(self._layout(), max(width, 40))

    def to_json(self) -> str:
        """All that was recorded, as JSON.

        One object: `schema` ("socklens-story-1"), `began` (seconds since 1970, or null), `lost` (events dropped), `events` (a list of
        objects whose
        keys are the attributes of Event; bytes as hexadecimal digits, states by name, endpoints as [host, port], times in seconds
        since `began`),
        `sockets` (their role, variable's name, endpoints, and the number of the connection's other end and of the listener) and `ledger`
        (the pieces; `send` and
        `recv` are numbers of events). The JSON Schema is the file `socklens/story/story.schema.json`.
        """
        import json

        events = self.events
        sockets = [
            {
                "socket": actor.socket,
                "role": actor.role,
                "name": actor.name,
                "local": None if actor.local is None else list(actor.local),
                "peer": None if actor.peer is None else list(actor.peer),
                "other_end": actor.other_end,
                "listener": actor.listener,
                "stdlib": actor.stdlib,
            }
            for actor in self._cast(events).values()
        ]
        return json.dumps(
            {
                "schema": "socklens-story-1",
                "began": self._began,
                "lost": self.lost,
                "events": [one.to_dict() for one in events],
                "sockets": sockets,
                "ledger": self._ledger(events).to_dicts(),
            }
        )

    def _repr_html_(self) -> str:
        from ..display.ladder_svg import ladder_html

        events = self.events
        return ladder_html(self._layout(), events, self._cast(events))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))

    def __str__(self) -> str:
        return self.to_text()

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        events = self.events
        sockets = len({event.socket for event in events})
        span = (
            f", {_seconds(max(e.ended for e in events) - min(e.ended if e.began is None else e.began for e in events))}"
            if events
            else ""
        )
        lost = f", {self.lost:,} dropped" if self.lost else ""
        state = "recording" if self.recording else "over" if self._over else "not begun"
        return f"<Story {state}: {len(events):,} calls on {sockets:,} sockets{span}{lost}>"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
