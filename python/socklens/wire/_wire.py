"""The class Wire: makes, sets, asks and closes a relay. It touches no byte itself; a thread in Rust does."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from .. import _listen
from .._address import Address
from .._door import door
from .._socklens import Connection, _endpoint, _interfaces, _resolve, _Wire
from ..server._records import Log
from ._direction import Direction
from ._mischief import ARRIVALS, DIRECTION, Drop, chosen
from ._story import BothWays, WireConnection, WireEvent, WireStory

if TYPE_CHECKING:
    from .._socklens import Listener
    from ..server import Server

_BACKLOG = 1024
MADE: WeakValueDictionary[int, Wire] = WeakValueDictionary()
"""The wires that are left, closed ones too, by their ids: a story says where its bytes went through one."""


class Wire:
    """A mischievous relay between clients and a target: what a bad network, a slow one or a nasty peer does, on purpose and repeatable.

        with sl.Wire(server, split=1, seed=7) as w:
            conn = sl.connect(w.local_addr)

    It listens from the moment it is made. For each client it connects to the target itself, so there are **two TCP connections**, each with
    its own buffers, sequence numbers and acknowledgements; bytes pass from one to the other. With nothing set they pass as they come,
    and so do FIN, half-close and RST. Both ends' sockets stay the programs' own: the relay reads from its own sockets alone.

    The same seed makes the same choices at the same places of each connection's streams.

    What is set, or ordered (`reset`, `finish`), holds when the call returns: it waits for the relay, which answers within microseconds.
    Ctrl-C ends the wait, TimeoutError tells of a relay that has not answered within 2 seconds, and a closed wire raises ClosedError.

    Args:
        target: where the clients' bytes go: an Address, ``(host, port)``, ``"host:port"``, a Listener, a running Server, or another Wire. A
            name is resolved once, here.
        host: where the wire listens, as for `listen`: this machine alone unless another host is written out.
        port: 1 to 65535; 0 is any free port, which ``local_addr`` tells.
        seed: an int; it chooses sizes, jitter and bits.
        **mischief: for both directions; ``wire.to_server`` and ``wire.to_client`` have each of these for one:

            - ``split=1``: pieces of so many bytes, each for a ``recv`` of its own; ``hold``: how long the next one waits for the reader.
            - ``glue=100``: bytes are held back until so many wait.
            - ``delay=0.2``, ``jitter=0.1``: seconds later, and up to so many more; ``rate=1000``: a slow network, bytes a second.
            - ``stalled=True``: nothing leaves; ``reading=False``: nothing is read, so that the sender's window closes.
            - ``finish_at=10``, ``close_at=10``, ``reset_at=10``: after so many bytes FIN, close or RST.
            - ``flip_at=3``: one bit of the byte at this place is changed.

            And of the wire: ``refuse=True``, nobody seems to listen; ``drop=True``, who connects is reset; ``silent=True``, who connects
            hears nothing.

    Raises:
        TypeError: there is no such mischief, or a value is of the wrong kind. ValueError: a value out of range, no such target.
        OSError: EADDRINUSE, with who has the address, and what else `listen` raises. socket.gaierror: the target's name has no address.
    """

    def __init__(
        self,
        target: str | tuple[str, int] | Address | Listener | Server | Wire,
        host: str | tuple[str, int] | Address = "127.0.0.1",
        port: int = 0,
        *,
        seed: int = 0,
        **mischief: Any,
    ) -> None:
        with door:
            both, arrivals = chosen(mischief)
            if isinstance(seed, bool) or not isinstance(seed, int):
                raise TypeError(
                    f"seed is an int, not {seed!r} ({type(seed).__name__}): the same one makes the same choices"
                )
            self._target = _target(target)
            self._seed = seed
            self._arrivals = arrivals
            self._lock = threading.RLock()
            # "host:port" and (host, port) have their port in them; 0 beside them would be a second one.
            inside = not isinstance(host, str) or (port == 0 and _endpoint(host, None)[1] is not None)
            listener = _listen.open_listener(
                host, None if inside and port == 0 else port, _BACKLOG, owner=self, outer=1
            )
            try:
                if _is_itself(listener.local_addr, self._target):
                    raise ValueError(f"a wire to itself: it would listen on {self._target}, which is also its target")
                self._core = _Wire(
                    listener,
                    self._target.host,
                    self._target.port,
                    seed % 2**64,
                    both.row(),
                    both.row(),
                    *arrivals.row(),
                )
            except BaseException:
                listener.close()
                raise
            self.to_server = Direction("to_server", both, self._core)
            self.to_client = Direction("to_client", both, self._core)
        MADE[id(self)] = self

    to_server: Direction
    """What happens to bytes from the clients to the target."""
    to_client: Direction
    """What happens to bytes from the target to the clients."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in DIRECTION:
            raise AttributeError(
                f"{name} is set for a direction: wire.to_server.{name} = {value!r}, or wire.to_client.{name}"
            )
        with door:
            object.__setattr__(self, name, value)

    # Life

    def close(self) -> None:
        """Stops listening and ends every connection: FIN to both ends, and what waits in the relay is lost.

        The port is free when it returns. Closing twice does nothing; what was set and told can be read as before.

        Raises:
            TimeoutError: the relay has not ended within 5 seconds. The port is free, but connections may be open still.
        """
        self._core.close()

    @property
    def closed(self) -> bool:
        """Whether this program has closed it."""
        return self._core.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give_way(self) -> tuple[str, int]:
        """A cell that is run again makes a new one: what was done, and how many clients lost their connection by it."""
        clients = len(self.connections)
        self.close()
        return "closed the earlier wire", clients

    # What it is

    @property
    def local_addr(self) -> Address:
        """The endpoint that clients connect to."""
        return self._core.listener.local_addr

    @property
    def target(self) -> Address:
        """Where their bytes go."""
        return self._target

    @property
    def seed(self) -> int:
        """What makes its choices repeatable."""
        return self._seed

    @property
    def created_at(self) -> str:
        """Where in the program it was made: file and line, or notebook cell."""
        return self._core.listener.created_at

    @property
    def accepted(self) -> int:
        """How many clients it has accepted so far."""
        return self._core.accepted

    @property
    def connections(self) -> Log[WireConnection]:
        """The relayed connections that are open now, oldest first: frozen copies, which print a line each."""
        opened = self._core.opened
        return Log(
            WireConnection(
                number, client, onward, datetime.fromtimestamp(opened + since), BothWays(*passed), BothWays(*waiting)
            )
            for number, client, onward, since, passed, waiting, _ in self._core.connections()
        )

    @property
    def listener(self) -> Listener:
        """The socket that it listens on; the relay accepts from it."""
        return self._core.listener

    @property
    def inodes(self) -> list[tuple[int, int]]:
        """By which numbers the kernel's table has the two sockets of each connection, the client's first; 0 where it is not known."""
        return [(inodes[0], inodes[1]) for *_, inodes in self._core.connections()]

    @property
    def story(self) -> WireStory:
        """What it did so far, oldest first: a list of events, copied now, which prints a line each."""
        rows, lost = self._core.events()
        opened = self._core.opened
        events = (WireEvent(row[0], datetime.fromtimestamp(opened + row[0]), *row[1:]) for row in rows)
        return WireStory(events, lost)

    # What becomes of new connections

    @property
    def refuse(self) -> bool:
        """Whether nothing listens on the wire's address: the kernel refuses who connects (ECONNREFUSED), and the port stays the wire's.

        Clients that had not been accepted yet are reset; open connections go on. On Linux alone. Setting it raises OSError if the
        kernel does not let the wire listen again (EADDRINUSE, with who has the address), and it goes on refusing.
        """
        return self._core.refuses

    @refuse.setter
    def refuse(self, value: bool) -> None:
        self._arrive(refuse=value)

    @property
    def drop(self) -> Drop:
        """Whether new connections are accepted and ended at once: True or ``"reset"`` sends RST, ``"finish"`` sends FIN.

        The target hears nothing of them.
        """
        return self._arrivals.drop

    @drop.setter
    def drop(self, value: Drop) -> None:
        self._arrive(drop=value)

    @property
    def silent(self) -> bool:
        """Whether new connections are accepted and get no answer: the target hears nothing of them, also later.

        The relay takes in what such a client sends until its memory is full, and keeps the connection for a minute after its FIN. Behind
        bytes that are not taken in, FIN is noticed within a second; where it could not even be sent, only that of a client on this machine.
        """
        return self._arrivals.silent

    @silent.setter
    def silent(self, value: bool) -> None:
        self._arrive(silent=value)

    @property
    def arrivals(self) -> str:
        """What is set for new connections, in words, such as ``silent=True``; empty if they are served."""
        return replace(self._arrivals, refuse=self._core.refuses).words()

    def _arrive(self, **value: Any) -> None:
        ((name, one),) = value.items()
        checked = ARRIVALS[name](name, one)
        told = f"{name}={checked!r}"
        # Before the lock: a forked child raises here, and the lock may have been held in its parent.
        self._core.settle(f"{told} is not set")
        with self._lock:
            arrivals = replace(self._arrivals, **{"refuse": self._core.refuses, name: checked})
            self._core.set_arrivals(*arrivals.row(), told)
            self._arrivals = arrivals
            self._core.settle(f"{told} is set, but not confirmed")
            self._core.listens_as_set()

    # All connections, now

    def stall(self) -> None:
        """Lets nothing pass, in both directions, until `resume`."""
        self.to_server.stall()
        self.to_client.stall()

    def resume(self) -> None:
        """Ends a stall in both directions."""
        self.to_server.resume()
        self.to_client.resume()

    def finish(self) -> None:
        """Half-closes both directions of every open connection: both ends get what the other has sent by now, and FIN.

        What they send later is thrown away.
        """
        self.to_server.finish()
        self.to_client.finish()

    def reset(self) -> None:
        """Resets every open connection: RST to both ends, and what waits in the relay is lost. The wire goes on listening."""
        self._core.reset()

    def __repr__(self) -> str:
        from ..display.wire import wire_line, wire_view

        return wire_line(wire_view(self))

    def __str__(self) -> str:
        from ..display.wire import wire_text, wire_view

        return wire_text(wire_view(self))

    def _repr_html_(self) -> str:
        from ..display.wire import wire_html, wire_view

        return wire_html(wire_view(self))


def _is_itself(here: Address, target: Address) -> bool:
    """Whether the target leads back to where the wire listens: then one client would make connections without end."""
    if here.port != target.port:
        return False
    every = here.host in ("0.0.0.0", "::")
    own = {here.host, *(("127.0.0.1", "::1") if every else ()), *((row[1] for row in _interfaces()) if every else ())}
    return any(address.host in own or (every and address.host.startswith("127.")) for address in _resolve(*target))


def _target(target: Any) -> Address:
    """Where a target is reached."""
    if isinstance(target, Connection):
        raise TypeError(
            "a Connection is no target: a wire connects by itself, so it needs an address where somebody listens"
        )
    if getattr(target, "running", True) is False:
        raise ValueError("this Server is not running, so nothing listens at its address; start() it first")
    if hasattr(target, "local_addr"):
        if getattr(target, "closed", False):
            raise ValueError(f"this {type(target).__name__} is closed, so nothing listens on {target.local_addr}")
        return Address(*target.local_addr)
    host, port = _endpoint(target, None)
    if port is None:
        raise ValueError(f'the target {target!r} has no port; it is written "{host}:6666", or ({host!r}, 6666)')
    if port == 0:
        raise ValueError('port 0 cannot be connected to: it only means "any free port" to a listener')
    return Address(host, port)
