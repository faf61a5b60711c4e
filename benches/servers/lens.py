"""Ours: the handlers in Rust, a Python function for each message, and Python handlers in threads and on an event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import socklens as sl

from servers import BACKLOG, HOST, READ, Missing

# Types are looked up at run time, so that a part that is not built yet is a contestant that is missing, not an error
# of the others.
_sl: Any = sl
_server: Any = None
_kept: list[Any] = []


def _echo(conn: sl.Connection) -> None:
    while data := conn.recv(READ):
        conn.sendall(data)


def _lines(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(line)


async def _echo_async(conn: Any) -> None:
    while data := await conn.aio.recv(READ):
        await conn.aio.sendall(data)


async def _lines_async(conn: Any) -> None:
    async for line in conn.aio.lines():
        await conn.aio.sendall(line)


def _same(_conn: object, message: bytes) -> bytes:
    return message


HANDLERS: dict[str, Callable[[], object]] = {
    "Echo": lambda: _sl.Echo(),
    "LineEcho": lambda: _sl.LineEcho(),
    "Chat": lambda: _sl.Chat(),
    "Discard": lambda: _sl.Discard(),
    "OnMessage chunk": lambda: _sl.OnMessage(_same, framing="chunk"),
    "OnMessage line": lambda: _sl.OnMessage(_same, framing="line"),
    "echo, threads": lambda: _echo,
    "lines, threads": lambda: _lines,
    "echo, async": lambda: _echo_async,
    "lines, async": lambda: _lines_async,
}


def start(service: str) -> int:
    """Starts a `Server`; gives the port."""
    global _server
    if service.endswith("async") and not hasattr(sl.Connection, "aio"):
        raise Missing("module 'socklens' has no aio")
    try:
        _server = _sl.Server(HANDLERS[service](), HOST, 0, backlog=BACKLOG)
    except AttributeError as why:
        raise Missing(str(why)) from why
    _server.start()
    port: int = _server.local_addr.port
    return port


def keep_roster() -> int:
    """Keeps every client and its connection as Python objects; gives how many there are."""
    clients = list(_server.clients)
    _kept[:] = [clients, [client.conn for client in clients]]
    return len(clients)


def end() -> int:
    """Stops the server; an error that it met meanwhile makes the benchmark fail."""
    _kept.clear()
    errors = list(_server.errors)
    _server.stop(timeout=0.5)
    for error in errors:
        print(error, getattr(error, "traceback", ""), file=sys.stderr)
    return 1 if errors else 0
