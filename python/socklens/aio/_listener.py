"""``listener.aio``: clients, awaited."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from .._errors import ClosedError
from .._socklens import _Here
from ._waiting import Timeout, waited

if TYPE_CHECKING:
    from .._socklens import Connection, Listener


class AsyncListener:
    """The awaitable calls of a listener, as ``listener.aio``: ``await listener.aio.accept()``, ``async for conn in listener.aio:``."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def __repr__(self) -> str:
        return f"<aio of {self._listener!r}>"

    # Not `async def`: the new connection names the line of this call, which a coroutine that runs later could not see any more.
    def accept(self, *, timeout: Timeout = ...) -> Coroutine[Any, Any, Connection]:
        """Return a new Connection for the next client; waits until there is one. Awaitable.

        Args:
            timeout: seconds; None waits for ever; 0 never waits; left out, ``listener.timeout``.

        Raises:
            TimeoutError: no client came. BlockingIOError: none is here, and the timeout is 0.
            ClosedError: this listener was closed by this program, perhaps while this call waited.
            OSError (EMFILE, ENFILE): too many files and sockets are open; the client still waits.
        """
        return self._accept(_Here(1), timeout)

    async def _accept(self, here: _Here, timeout: Timeout) -> Connection:
        listener = self._listener
        return await waited(listener, partial(listener._accept, here), timeout)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Connection]:
        return self._next(_Here(1))

    async def _next(self, here: _Here) -> Connection:
        try:
            return await self._accept(here, ...)
        except ClosedError:
            # Closing the listener is how such a loop ends.
            raise StopAsyncIteration from None
