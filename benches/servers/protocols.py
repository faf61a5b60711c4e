"""asyncio's Protocols, on its own loop or on uvloop's: as people write them, and batched by hand.

Batched: the lines of one read are sent in one call, and what a chat has to tell a client in one turn of the loop as well.
"""

from __future__ import annotations

import asyncio
from asyncio import Protocol, Server, Transport
from itertools import count
from typing import cast

from servers import BACKLOG, HOST
from servers.loops import NewLoop, serve


class _Echo(Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class _Lines(_Echo):
    kept = b""

    def data_received(self, data: bytes) -> None:
        *lines, self.kept = (self.kept + data).split(b"\n")
        for line in lines:
            self.transport.write(line + b"\n")


class _LinesBatched(_Lines):
    def data_received(self, data: bytes) -> None:
        *lines, self.kept = (self.kept + data).split(b"\n")
        if lines:
            lines.append(b"")
            self.transport.write(b"\n".join(lines))


class _ChatBatched(_Echo):
    everyone: dict[int, _ChatBatched] = {}  # noqa: RUF012 (one room for all)
    numbers = count()
    flushing = False
    kept = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.number = next(self.numbers)
        self.name = b"client %d: " % self.number
        self.told: list[bytes] = []
        self.everyone[self.number] = self

    def connection_lost(self, exc: Exception | None) -> None:
        del self.everyone[self.number]

    def data_received(self, data: bytes) -> None:
        *lines, self.kept = (self.kept + data).split(b"\n")
        if not lines:
            return
        said = b"".join([self.name + line + b"\n" for line in lines])
        for number, other in self.everyone.items():
            if number != self.number:
                other.told.append(said)
        if not _ChatBatched.flushing:
            _ChatBatched.flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    @classmethod
    def flush(cls) -> None:
        """The end of the turn: what has been said goes to each client in one call."""
        cls.flushing = False
        for client in cls.everyone.values():
            if client.told:
                client.transport.write(b"".join(client.told))
                client.told.clear()


PROTOCOLS = {"echo": _Echo, "lines": _Lines, "lines batched": _LinesBatched, "chat batched": _ChatBatched}


def start(service: str, new_loop: NewLoop) -> int:
    """Serves on a loop of this kind; gives the port."""

    async def listen() -> Server:
        return await asyncio.get_running_loop().create_server(PROTOCOLS[service], HOST, 0, backlog=BACKLOG)

    return serve(new_loop, listen)
