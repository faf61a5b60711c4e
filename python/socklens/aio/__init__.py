"""The awaitable twins: ``conn.aio``, ``listener.aio`` and ``await sl.aio.connect(…)``. Nothing in this room holds a byte.

    async with asyncio.timeout(5):
        conn = await sl.aio.connect("127.0.0.1", 6666)
        await conn.aio.sendall(b"hello\\n")
        async for line in conn.aio.lines():
            ...

They work on the same object as the calls without ``aio``: what one leaves, the other sees. Each call is tried first, and waits,
without a thread, only if it would block. They need asyncio's event loop, or one that does what asyncio's does, such as uvloop.
"""

from ._connecting import connect
from ._connection import AsyncConnection
from ._listener import AsyncListener

__all__ = ["AsyncConnection", "AsyncListener", "connect"]
