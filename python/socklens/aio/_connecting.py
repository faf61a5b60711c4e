"""``await sl.aio.connect(…)``: the attempts are those of ``sl.connect``, made in steps."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from .._socklens import _Connecting, _Here, _seconds, _Try, get_default_timeout
from ._waiting import Timeout, later

if TYPE_CHECKING:
    from .._address import Address
    from .._socklens import Connection


# Not `async def`: the new connection names the line of this call, which a coroutine that runs later could not see any more.
def connect(
    host: str | tuple[str, int] | tuple[str, int, int, int] | Address,
    port: int | None = None,
    *,
    timeout: Timeout = ...,
    source: str | tuple[str, int] | tuple[str, int, int, int] | Address | None = None,
    recv_buffer: int | None = None,
    send_buffer: int | None = None,
    wait: bool = True,
) -> Coroutine[Any, Any, Connection]:
    """Connect to a listener and return the Connection (connect(2)). Awaitable: ``conn = await sl.aio.connect("127.0.0.1", 6666)``.

    A host name may stand for several addresses: they are tried in turn, and an error tells what became of each. Names are looked
    up in a thread of their own. Cancelled, it closes what it has begun.

    Args:
        host: "127.0.0.1", "localhost", "::1" …, or the whole endpoint: "host:port", (host, port), ``listener.local_addr``.
        port: 1 to 65535.
        timeout: seconds for the whole attempt, not for the calls after it (`conn.timeout`); None waits for ever; 0 never waits; left out,
            the default timeout.
        source: the endpoint to connect from; port 0, or none, lets the kernel choose one.
        recv_buffer: receive buffer to ask of the kernel in bytes, before it connects (SO_RCVBUF).
        send_buffer: send buffer to ask of the kernel in bytes, before it connects (SO_SNDBUF).
        wait: False returns as soon as the handshake has begun; ``wait_connected()`` or the first recv or send waits then.

    Raises:
        ConnectionRefusedError: nothing listens there. TimeoutError: no answer. socket.gaierror: the name has no address.
        OSError: unreachable, the source is not this machine's or is taken. OverflowError, ValueError, TypeError: no such endpoint.
    """
    seconds = get_default_timeout() if timeout is ... else _seconds(timeout)
    # The name's lookup begins when the coroutine runs.
    return _connect(_Here(1), (host, port, source, recv_buffer, send_buffer, wait), seconds)


async def _connect(here: _Here, wanted: tuple[Any, ...], seconds: float | None) -> Connection:
    connecting = _Connecting(here, *wanted)
    try:
        return connecting.step(timeout=_Try())
    except BlockingIOError:
        pass
    try:
        return await later(connecting, connecting.step, seconds, write=True)
    finally:
        connecting.give_up()
