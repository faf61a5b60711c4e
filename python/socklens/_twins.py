"""``conn.aio`` and ``listener.aio``, put on the classes here because asyncio is imported only when one of them is first used."""

from __future__ import annotations

from ._socklens import Connection, Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aio import AsyncConnection, AsyncListener

_CONNECTION = """The awaitable calls of this connection: ``await conn.aio.recv()``, ``async for line in conn.aio.lines():`` and so on.

They have the names, arguments, answers and exceptions of those without ``aio``, and work on the same object. They need asyncio's
event loop; a notebook has one: ``await`` works at the top of a cell."""
_LISTENER = """The awaitable calls of this listener: ``await listener.aio.accept()``, ``async for conn in listener.aio:``.

They need asyncio's event loop; a notebook has one: ``await`` works at the top of a cell."""


def _load() -> None:
    """From now on `aio` is made without a detour."""
    from .aio import AsyncConnection, AsyncListener

    Connection.aio = property(AsyncConnection, doc=_CONNECTION)  # type: ignore[assignment]
    Listener.aio = property(AsyncListener, doc=_LISTENER)  # type: ignore[assignment]


def _of_connection(conn: Connection) -> AsyncConnection:
    _load()
    return conn.aio


def _of_listener(listener: Listener) -> AsyncListener:
    _load()
    return listener.aio


def offer() -> None:
    """Gives both classes their `aio`."""
    Connection.aio = property(_of_connection, doc=_CONNECTION)  # type: ignore[assignment]
    Listener.aio = property(_of_listener, doc=_LISTENER)  # type: ignore[assignment]
