"""The class Server: what starts, is asked and is stopped. It serves nobody itself; an engine does, from each start to the next stop."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .. import _listen
from .._address import Address
from .._door import door
from .._socklens import Connection, Listener, _endpoint
from . import _running
from ._engine import Engine
from ._handlers import Mode, Plan
from ._records import KICKED, Dropped, Ledger, Log, ServerError
from ._roster import AnyClient, Client, Roster

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._reactor import RustHandler

_SLICE = 0.5  # on Windows a wait without end hears no Ctrl-C


class Server:
    """Serves many clients at once on one port: each client's connection goes to a handler.

        def greet(conn):
            conn.sendall(b"hello\\n")

        with sl.Server(greet, "127.0.0.1", 6666) as server:
            ...

    A handler is a function that is called with the connection of each client. When it returns or raises, the connection is
    closed; what it raised is in ``errors``, and the other clients do not notice. It is not started yet: ``start()`` does that and
    returns at once, so that the next cell can run. What a handler returns is not sent, except by ``sl.OnMessage``. With a handler in
    Rust, a client that aborts or that leaves in the middle of a line is simply gone, and is no error.

    Args:
        handler: ``def handler(conn)``, ``async def handler(conn)`` (which uses ``conn.aio``), or one of socklens' own, such as
            ``sl.Echo()``, which run in Rust.
        host: where to listen, as for `listen`: this machine alone unless another host is written out; or the whole endpoint.
        port: 1 to 65535; 0, or none, is any free port, which ``local_addr`` tells.
        mode: ``"threads"``, one thread for each client; ``"one"``, one client after the other, the next ones wait in the accept
            queue; ``"async"``, an ``async def`` handler for all clients on one event loop. Left out: what fits the handler.
        max_clients: how many clients are served at a time; None is no limit. One more gets the line ``The server is full (N clients).
            Please try again later.``, and FIN.
        idle_timeout: seconds; a client is dropped when for so long nothing has come from it, and its handler has sent it nothing
            either. None waits for ever.
        backlog: how many clients may wait to be accepted.

    Raises:
        TypeError: the handler cannot be called with a connection, or does not fit the mode. ValueError: there is no such mode, limit
            or endpoint. OverflowError: there is no such port.
    """

    def __init__(
        self,
        handler: Callable[[Connection], object] | RustHandler,
        host: str | tuple[str, int] | tuple[str, int, int, int] | Address = "127.0.0.1",
        port: int | None = None,
        *,
        mode: Mode | None = None,
        max_clients: int | None = None,
        idle_timeout: float | None = None,
        backlog: int = 1024,
    ) -> None:
        with door:
            self._host, self._port = _endpoint(host, port)
            self._plan = Plan(handler, mode, max_clients, idle_timeout)
        self._backlog = backlog
        self._ledger = Ledger()
        self._listener: Listener | None = None
        self._engine: Engine | None = None
        self._changing = threading.Lock()
        self._state = "not started"
        self._stopped = threading.Event()
        self._stopped.set()

    # Life

    def start(self) -> Self:
        """Opens the listener and begins to serve; returns the server itself, which is listening then.

        When a notebook cell is run again, the servers that it started before are stopped, and one line says so. A server that was
        stopped may be started again.

        Raises:
            RuntimeError: it is running. OSError: EADDRINUSE, with who has the address, and what else `listen` raises.
        """
        with door:
            return self._start()

    def _start(self) -> Self:
        with self._changing:
            if self._state not in ("not started", "stopped"):
                where = "" if self._listener is None else f" on {self._listener.local_addr}"
                raise RuntimeError(f"this server is {self._state}{where}: use stop() before it is started again")
            before = (self._state, self._listener, self._engine)
            self._state = "starting"
        try:
            listener = _listen.open_listener(
                self._host, self._port, self._backlog, owner=self, outer=_calls_to_the_user()
            )
            try:
                engine = self._plan.engine(self._ledger)
                # Known before the first client is served: its handler may ask for it.
                self._listener, self._engine = listener, engine
                self._stopped.clear()
                self._state = "running"
                engine.start(listener)
            except BaseException:
                listener.close()
                raise
        except BaseException:
            self._state, self._listener, self._engine = before
            self._stopped.set()
            raise
        _running.add(self)
        return self

    def stop(self, timeout: float = 1.0) -> Log[Dropped]:
        """Ends the service: no client is let in any more, handlers may finish, and who is left then is dropped.

        The listener is closed first, which resets who still waits in the accept queue. When the time is over, the connections that
        are left are closed; a handler that waits for its client ends with ClosedError then, and has half a second more for that.
        When stop returns, the port can be bound again. A handler may call it, and is not waited for itself, but not one that runs on
        the server's event loop. Ctrl-C ends the patience, not the stop. Stopping twice does nothing.

        Args:
            timeout: seconds that handlers have to finish by themselves.

        Returns:
            Whom it dropped, also in ``dropped``; it prints a line for each.

        Raises:
            ValueError, TypeError: the timeout is no number of seconds.
            RuntimeError: called on the server's own event loop, which could not go on meanwhile.
        """
        if isinstance(timeout, bool) or not isinstance(timeout, int | float):
            raise TypeError(f"stop(timeout) takes a number of seconds, not {timeout!r}")
        if not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"stop(timeout): at least 0 seconds, not {timeout}: a stop comes to an end")
        engine = self._engine
        with self._changing:
            first = self._state == "running"
            if first and engine is not None:
                engine.check_stop()
                self._state = "stopping"
        if engine is None:
            return Log()
        if not first:
            # Another thread is at it, and may be waiting for this one.
            if not engine.is_mine():
                self._stopped.wait(timeout + 2 * _SLICE)
            return Log()
        try:
            dropped = engine.stop(timeout)
            engine.catch_up()
        finally:
            self._state = "stopped"
            _running.remove(self)
            self._stopped.set()
        return Log(dropped)

    def _give_way(self) -> tuple[str, int]:
        """A cell that is run again starts a new one: what was done, and how many clients were dropped."""
        return "stopped the earlier server", len(self.stop(0))

    def join(self, timeout: float | None = None) -> bool:
        """Waits until the server has been stopped, by another thread or by a handler; Ctrl-C ends the wait, and not the server.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            Whether it has stopped; True at once if it does not run.

        Raises:
            KeyboardInterrupt: on Ctrl-C, or the notebook's stop button.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if deadline is None else min(_SLICE, deadline - time.monotonic())
            if self._stopped.wait(max(left, 0)):
                return True
            if left <= 0:
                return False

    def __enter__(self) -> Self:
        # `with server.start() as server:` is natural to write, too.
        with door:
            return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # What it is

    @property
    def local_addr(self) -> Address:
        """The endpoint it listens on, with the real port where 0 was asked for; of the last start, if it has been stopped.

        Raises:
            RuntimeError: it has not been started, so that it has no address yet.
        """
        with door:
            return self.listener.local_addr

    @property
    def listener(self) -> Listener:
        """The listening socket of the last start: its backlog tells who waits to be accepted.

        Raises:
            RuntimeError: it has not been started.
        """
        with door:
            if self._listener is None:
                raise RuntimeError(
                    "this server has not been started, and has no listener and no address yet: use start() first"
                )
            return self._listener

    @property
    def running(self) -> bool:
        """Whether it has been started and not been stopped; also true while it stops."""
        return self._state in ("running", "stopping")

    @property
    def started(self) -> bool:
        """Whether it has been started at least once, so that it has an address."""
        return self._listener is not None

    @property
    def asked(self) -> str:
        """Where it will listen, as far as that is known before ``start()``."""
        return str(Address(self._host, self._port)) if self._port else f"a free port of {self._host}"

    @property
    def handler_name(self) -> str:
        """The name of the handler, as the server prints it."""
        return self._plan.name

    @property
    def mode(self) -> str:
        """How clients are served: "threads", "one", "async"; "rust" or "on message" for handlers that run in Rust."""
        return self._plan.mode

    # Its clients

    @property
    def clients(self) -> Roster:
        """Those whose handlers are at work now, oldest first: a snapshot, which prints as a table.

            server.clients[conn].name = "ana"       # gives a client a name; conn is either end of its connection
            server.clients["ana"]                   # and finds it again: its Client, with .conn, .name, .since, .totals, .state

        A client has no name until it gets one: from a handler, from the program, or in `sl.Chat()` by the first line that it sends.
        """
        return Roster(() if self._engine is None else self._engine.clients())

    @property
    def accepted(self) -> int:
        """How many clients were let in so far, over all starts."""
        self._catch_up()
        return self._ledger.accepted

    @property
    def refused(self) -> int:
        """How many clients were turned away because of ``max_clients``, over all starts."""
        self._catch_up()
        return self._ledger.refused

    def broadcast(self, data: Buffer, but: AnyClient | None = None) -> int:
        """Sends to all clients, or to all but one; returns how many took it.

        It waits for clients whose buffers are full, for one second for all of them together. Who has not taken all of it by then is
        dropped, with the reason ``"too slow"``: half a message would garble what comes after it. A client whose connection is over is
        passed over. Each gets the whole in one piece, even while its handler sends.

        Args:
            data: bytes, bytearray, memoryview: any object with a contiguous buffer. Text needs ``.encode()``.
            but: a client, its connection (the server's end or the client's own), its name or its number; one who has left is nobody.

        Raises:
            TypeError: data has no buffer. ValueError: no client has the name or number in ``but``, or it is a connection that has
                nothing to do with this server.
        """
        with door:
            try:
                memoryview(data)
            except TypeError:
                text = repr(data) if len(repr(data)) <= 40 else "text"
                hint = f": write {text}.encode()" if isinstance(data, str) else ""
                raise TypeError(f"broadcast sends bytes, not {type(data).__name__}{hint}") from None
            if self._engine is None:
                return 0
            return self._engine.broadcast(data, None if but is None else self._end_of(but))

    def _end_of(self, client: AnyClient) -> Connection:
        """The server's end of a client's connection; or one that is nobody's, of who has left or is not here yet."""
        if not isinstance(client, Client | Connection):
            return self.clients.find(client).conn
        conn = client.conn if isinstance(client, Client) else client
        here, ours, theirs = self.local_addr.port, conn.local_addr.port, conn.peer_addr.port
        if ours == here != theirs:
            return conn
        roster = self.clients
        return roster.find(client).conn if conn in roster or here not in (ours, theirs) else conn

    def kick(self, client: AnyClient) -> Dropped:
        """Closes a client's connection. Its handler's wait ends with ClosedError, which is no error of the handler's.

        Args:
            client: a client, its connection (the server's end or the client's own), its name, or its number in the roster.

        Returns:
            What is also in ``dropped`` then.

        Raises:
            ValueError: it is neither end of a client of this server, or several have the name. TypeError: it can be no client.
        """
        with door:
            found = self.clients.find(client)
            if self._engine is None:
                raise ValueError("this server has not been started, and has no clients")
            return self._engine.kick(found, KICKED)

    # What happened

    @property
    def errors(self) -> Log[ServerError]:
        """What handlers raised, and trouble with accepting, oldest first: a copy. Nothing of it is ever printed by itself.

        It prints a line for each, with the line of the handler; ``server.errors[-1]`` shows its traceback. The newest 1,000 are
        kept; ``errors.lost`` is how many older ones are not.
        """
        self._catch_up()
        return self._ledger.errors()

    @property
    def dropped(self) -> Log[Dropped]:
        """The clients whose connections the server ended, oldest first, and why: a copy of the newest 1,000; prints a line for each."""
        self._catch_up()
        return self._ledger.dropped()

    def _catch_up(self) -> None:
        if self._engine is not None:
            self._engine.catch_up()

    def __repr__(self) -> str:
        from ..display.roster import server_line, server_view

        return server_line(server_view(self))

    def _repr_html_(self) -> str:
        from ..display.roster import server_html, server_view

        return server_html(server_view(self))


def _calls_to_the_user() -> int:
    """How many calls there are from `start` to the line that the user wrote."""
    frame, calls = sys._getframe(1), 0
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame, calls = frame.f_back, calls + 1
    return calls
