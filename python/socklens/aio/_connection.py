"""``conn.aio``: every call of a connection that may wait, awaitable. Here is what each does; how they wait is in ``_waiting``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

from .._socklens import _OnItsWay, _seconds, _Try
from ._waiting import TRY, Attempt, Timeout, later, let_others_run, turns, waited

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .._socklens import Connection

# After so many lines in a row that were already there, other tasks have a turn of the event loop.
_LINES_IN_A_ROW = 1024


class AsyncConnection:
    """The awaitable calls of a connection, as ``conn.aio``: the names, arguments, answers and exceptions of those without ``aio``.

    Both kinds work on the same object: what one leaves in the input buffer, the other sees. A call that is cancelled while it waits
    has taken no bytes. Several tasks may wait at once; each gets whole frames, and messages go out whole.
    """

    __slots__ = ("_conn",)

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def __repr__(self) -> str:
        return f"<aio of {self._conn!r}>"

    # receiving

    async def recv(self, max_bytes: int = 65536, *, timeout: Timeout = ...) -> bytes:
        """Return what has come, 1 to `max_bytes` bytes; waits until there is something. b"" means that the peer has finished (FIN).

        Args:
            max_bytes: the most to take.
            timeout: seconds; None waits for ever; 0 never waits; left out, ``conn.timeout``.

        Raises:
            ConnectionResetError: the peer sent RST. TimeoutError: nothing came. BlockingIOError: nothing is here, and the timeout is 0.
            ClosedError: this connection was closed by this program, perhaps while this call waited. RuntimeError: no asyncio loop runs.
            asyncio.CancelledError: the task was cancelled; nothing was taken.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv(max_bytes, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.recv, max_bytes), timeout, tried)

    async def recv_exactly(self, n: int, *, timeout: Timeout = ...) -> bytes:
        """Return exactly `n` bytes; waits until they have come. Until then they are in the input buffer, in Rust memory.

        Raises:
            IncompleteReadError: the peer finished before; what had come is in ``.partial`` and still in the input buffer.
            Else as for `recv`; no byte is lost.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv_exactly(n, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.recv_exactly, n), timeout, tried)

    async def recv_until(
        self, sep: Buffer, *, max_bytes: int = 1048576, keep_end: bool = True, timeout: Timeout = ...
    ) -> bytes:
        """Return everything up to and including the separator `sep`; waits until it has come. b"" means that the peer has finished.

        Args:
            sep: the bytes at which to stop, 1 or more.
            max_bytes: the longest answer allowed, the separator included.
            keep_end: False drops the separator; the end of the stream raises IncompleteReadError then.
            timeout: as for `recv`.

        Raises:
            IncompleteReadError: the peer finished before the separator came. FrameTooLongError: there is none within max_bytes.
            ValueError: sep is empty. Else as for `recv`. In every case all bytes stay in the input buffer.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv_until(sep, max_bytes=max_bytes, keep_end=keep_end, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.recv_until, sep, max_bytes=max_bytes, keep_end=keep_end), timeout, tried)

    async def recv_line(self, *, max_bytes: int = 1048576, keep_end: bool = True, timeout: Timeout = ...) -> bytes:
        r"""Return one line, up to and including its b"\n"; waits until it has come. b"" means that the peer has finished.

        ``keep_end=False`` drops the b"\n", or b"\r\n". The other arguments and the exceptions are those of `recv_until`.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv_line(max_bytes=max_bytes, keep_end=keep_end, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.recv_line, max_bytes=max_bytes, keep_end=keep_end), timeout, tried)

    def lines(self, *, max_bytes: int = 1048576, keep_end: bool = True, timeout: Timeout = ...) -> AsyncIterator[bytes]:
        """Iterate over lines until the peer finishes: ``async for line in conn.aio.lines():``.

        Lines that are here already come without waiting in between. The arguments are those of `recv_line`, for each line. A stream
        that ends inside a line raises IncompleteReadError. Leaving the loop loses nothing.
        """
        conn = self._conn
        here = conn.lines(max_bytes=max_bytes, keep_end=keep_end, timeout=TRY)
        seconds = timeout if timeout is ... else _seconds(timeout)

        def next_line(*, timeout: float | _Try) -> bytes | None:
            return next(conn.lines(max_bytes=max_bytes, keep_end=keep_end, timeout=timeout), None)

        async def lines() -> AsyncIterator[bytes]:
            while True:
                tried = False
                try:
                    for line in islice(here, _LINES_IN_A_ROW):
                        yield line
                except BlockingIOError:
                    tried = True  # what is raised later does not come "during the handling" of this
                if tried:
                    line_or_end = await later(conn, next_line, conn.timeout if seconds is ... else seconds)
                else:
                    if seconds is not ...:
                        await let_others_run()
                    line_or_end = await waited(conn, next_line, seconds)
                if line_or_end is None:
                    return
                yield line_or_end

        return lines()

    async def recv_frame(
        self,
        prefix: int = 4,
        *,
        byteorder: Literal["big", "little"] = "big",
        max_bytes: int = 16777216,
        timeout: Timeout = ...,
    ) -> bytes:
        """Return the payload of one message that has its length in front, as `send_frame` sends it; waits until it is whole.

        Args:
            prefix: the width of the length in bytes: 1, 2, 4 or 8.
            byteorder: "big" (network order) or "little".
            max_bytes: the longest payload allowed. A peer that announces more gets no memory for it.
            timeout: as for `recv`.

        Raises:
            IncompleteReadError: the peer finished; between frames ``.partial`` is b"". FrameTooLongError: the length is above max_bytes.
            Else as for `recv`. In every case all bytes stay in the input buffer.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv_frame(prefix, byteorder=byteorder, max_bytes=max_bytes, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(
            conn, partial(conn.recv_frame, prefix, byteorder=byteorder, max_bytes=max_bytes), timeout, tried
        )

    async def recv_all(self, *, max_bytes: int = 67108864, timeout: Timeout = ...) -> bytes:
        """Return everything until the peer finishes.

        Args:
            max_bytes: the most to take.
            timeout: as for `recv`, for the whole.

        Raises:
            FrameTooLongError: more than max_bytes came. Else as for `recv`. In every case all bytes stay in the input buffer.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.recv_all(max_bytes=max_bytes, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.recv_all, max_bytes=max_bytes), timeout, tried)

    async def peek(self, max_bytes: int = 65536, *, timeout: Timeout = ...) -> bytes:
        """Return what `recv` would return, and leave it in the input buffer (MSG_PEEK). Waits as `recv` does."""
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.peek(max_bytes, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.peek, max_bytes), timeout, tried)

    # sending

    async def send(self, data: Buffer, *, timeout: Timeout = ...) -> int:
        """Hand bytes to the kernel and return how many it took: at least one, perhaps not all (send(2)).

        Waits while the send buffer is full: so a peer that does not read holds the sender (back-pressure).

        Args:
            data: bytes, bytearray, memoryview, array: any object with a contiguous buffer. Text needs ``.encode()``.
            timeout: seconds; None waits for ever; 0 never waits; left out, ``conn.timeout``.

        Raises:
            BrokenPipeError, ConnectionResetError: the connection is over.
            TimeoutError: the send buffer stayed full. BlockingIOError: it is full, and the timeout is 0.
            ClosedError: this connection was closed by this program. TypeError: data has no buffer. RuntimeError: no asyncio loop runs.
        """
        conn = self._conn
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return conn.send(data, timeout=TRY)
            except BlockingIOError:
                pass
        return await waited(conn, partial(conn.send, data), timeout, tried, write=True)

    async def sendall(self, data: Buffer, *, timeout: Timeout = ...) -> None:
        """Hand all bytes to the kernel, in one piece as far as other tasks and threads are concerned; returns None.

        If it fails, the exception's ``sent`` says how many bytes the kernel had taken; if it is cancelled, a note on the CancelledError
        says so, as ``conn.totals.sent`` does. Arguments and exceptions are those of `send`.
        """
        conn = self._conn
        await self._whole("sendall", conn._sendall_on, data, timeout)

    async def send_frame(
        self, data: Buffer, prefix: int = 4, *, byteorder: Literal["big", "little"] = "big", timeout: Timeout = ...
    ) -> None:
        """Send one message with its length in front, so that `recv_frame` on the other side gets it whole.

        Args:
            data: as for `send`; may be empty.
            prefix: the width of the length in bytes: 1, 2, 4 or 8.
            byteorder: "big" (network order) or "little".
            timeout: as for `send`.

        Raises:
            FrameTooLongError: the length does not fit into the prefix; nothing was sent.
            ValueError: no such prefix or byte order. Else those of `sendall`; ``sent`` counts the prefix too.
        """
        step = partial(self._conn._send_frame_on, prefix=prefix, byteorder=byteorder)
        await self._whole("send_frame", step, data, timeout)

    async def _whole(self, doing: str, step: Callable[..., None], data: Buffer, timeout: Timeout) -> None:
        conn, way = self._conn, _OnItsWay()
        attempt: Attempt[None] = partial(step, way, data)
        tried = timeout is ... and next(turns)
        if tried:
            try:
                return attempt(timeout=TRY)
            except BlockingIOError:
                pass
        pin = None
        try:
            pin = _pinned(data)
            await waited(conn, attempt, timeout, tried, write=True, way=way)
        except BaseException as error:
            conn._give_up(way)
            if isinstance(error, asyncio.CancelledError):
                error.add_note(f"{doing} on {conn!r} was cancelled; {way.sent} bytes had been handed to the kernel")
            raise
        finally:
            if pin is not None:
                pin.release()

    # life

    async def wait_connected(self, *, timeout: Timeout = ...) -> None:
        """Wait until the handshake is over; only a connection made with ``connect(..., wait=False)`` has to.

        Raises:
            ConnectionRefusedError and its kin: the attempt failed. TimeoutError: no answer yet; the attempt goes on.
        """
        conn = self._conn
        await waited(conn, conn.wait_connected, timeout, write=True)


def _pinned(data: Buffer) -> memoryview | None:
    """Keeps a bytearray from being made shorter on its way. What has no buffer is for the call to refuse, in its own words."""
    if isinstance(data, bytes):
        return None
    try:
        return memoryview(data)
    except TypeError:
        return None
