"""The contestants' near ends, and the loops that people write around `recv`. No connecting is measured here."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import socket
from asyncio import AbstractEventLoop, StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import peers
import socklens

# Long enough never to pass; what it costs is that the calls keep a deadline.
TIMEOUT = 30.0


@contextmanager
def lens(port: int, timeout: float | None = None) -> Iterator[socklens.Connection]:
    """Our connection."""
    with socklens.connect(peers.HOST, port) as conn:
        conn.timeout = timeout
        conn.nodelay = True
        yield conn


@contextmanager
def plain(port: int, timeout: float | None = None) -> Iterator[socket.socket]:
    """The standard library's connection."""
    with socket.create_connection((peers.HOST, port)) as sock:
        sock.settimeout(timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


Streams = tuple[AbstractEventLoop, StreamReader, StreamWriter]


@contextmanager
def streams(port: int, new_loop: Callable[[], AbstractEventLoop] = asyncio.new_event_loop) -> Iterator[Streams]:
    """asyncio's connection, with the loop that runs it."""
    with closing(new_loop()) as loop:
        reader, writer = loop.run_until_complete(asyncio.open_connection(peers.HOST, port))
        yield loop, reader, writer
        writer.close()
        loop.run_until_complete(writer.wait_closed())


Awaitable = tuple[AbstractEventLoop, Any]


@contextmanager
def awaitable(port: int) -> Iterator[Awaitable]:
    """Our connection's awaitable twin, with a loop that runs it."""
    conn: Any
    with closing(asyncio.new_event_loop()) as loop, lens(port) as conn:
        yield loop, conn.aio


def has_aio() -> bool:
    """Whether this socklens has awaitable twins."""
    return hasattr(socklens.Connection, "aio")


def event_loops() -> dict[str, Callable[[], AbstractEventLoop]]:
    """asyncio's own loop, and uvloop's where it is installed."""
    loops: dict[str, Callable[[], AbstractEventLoop]] = {"asyncio streams": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        uvloop: Any = importlib.import_module("uvloop")
        loops["uvloop streams"] = uvloop.new_event_loop
    return loops


def hand_exactly(sock: socket.socket, n: int) -> bytes:
    """What beginners' guides write to get n bytes."""
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def hand_joined(sock: socket.socket, n: int) -> bytes:
    """The loop of Python's Socket Programming HOWTO, with its pieces of 2 KiB made 64 KiB: the strongest form it has."""
    parts: list[bytes] = []
    missing = n
    while missing:
        part = sock.recv(min(missing, 65536))
        if not part:
            raise EOFError
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def hand_line(sock: socket.socket) -> Callable[[], bytes]:
    """What people write to get a line: a few KiB at a time, and keep what is behind the line's end."""
    kept = b""

    def readline() -> bytes:
        nonlocal kept
        while b"\n" not in kept:
            part = sock.recv(4096)
            if not part:
                raise EOFError
            kept += part
        end = kept.index(b"\n") + 1
        line, kept = kept[:end], kept[end:]
        return line

    return readline
