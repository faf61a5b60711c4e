"""asyncio's streams, written as its documentation shows."""

from __future__ import annotations

import asyncio
from asyncio import Server, StreamReader, StreamWriter
from itertools import count

from servers import BACKLOG, HOST, READ
from servers.loops import serve

_everyone: dict[int, StreamWriter] = {}
_numbers = count()


async def _echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _lines(reader: StreamReader, writer: StreamWriter) -> None:
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()


async def _chat(reader: StreamReader, writer: StreamWriter) -> None:
    me = next(_numbers)
    name = b"client %d: " % me
    _everyone[me] = writer
    try:
        async for line in reader:
            for number, other in _everyone.items():
                if number != me:
                    other.write(name + line)
            await writer.drain()
    finally:
        del _everyone[me]
        writer.close()


HANDLERS = {"echo": _echo, "lines": _lines, "chat": _chat}


def start(service: str) -> int:
    """Serves on asyncio's own loop; gives the port."""

    async def listen() -> Server:
        return await asyncio.start_server(HANDLERS[service], HOST, 0, backlog=BACKLOG)

    return serve(asyncio.new_event_loop, listen)
