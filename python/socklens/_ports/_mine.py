"""Which variables of this program have which sockets. Only looks: at the variables of the person at the keyboard, and one level into
lists, tuples, sets and dictionaries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from .. import _cells, _listen
from .._address import Address
from .._socklens import Connection, Listener
from ._row import Owner, Raw

_MOST = 100_000
"""Values that are looked at in one container."""

_Ends: TypeAlias = tuple[Address, Address | None]
_Made: TypeAlias = tuple[str | None, Connection | Listener]


class Mine:
    """The sockets of this program by their endpoints, and those of the standard library by their inode."""

    def __init__(self, local: dict[str, Any]) -> None:
        self._live: dict[_Ends, _Made] = {}
        self._over: dict[_Ends, _Made] = {}
        self._plain: dict[int, str] = {}
        # The variables of the function that asks come last: a name in the notebook is found again.
        for name, value in (*_named({**local, **_cells.namespace()}), *_found()):
            self._add(name, value)

    def of(self, row: Raw, this: int) -> Owner | None:
        """Who in this program has the socket of a row, or had it: what is left of a connection is still its."""
        ends = row[1], row[2]
        inode = row[13]
        if row[6] == this:
            made = self._live.get(ends)
            if made is None:
                name = self._plain.get(inode)
                return None if name is None else Owner(name, None)
        elif row[8] == "not accepted yet":
            made = self._listener(row[1])
        elif inode == 0 and row[6] is None:
            # TIME_WAIT comes while a program still has the socket open, too.
            made = self._over.get(ends) or self._live.get(ends)
        else:
            return None
        return None if made is None else Owner(made[0], made[1].created_at)

    def _listener(self, local: Address) -> _Made | None:
        """The listener in whose accept queue a connection is."""
        if not self._live:
            return None
        every = ("0.0.0.0", "::") if ":" not in local.host or local.host.startswith("::ffff:") else ("::",)
        found = (self._live.get((Address(host, local.port), None)) for host in (local.host, *every))
        return next(filter(None, found), None)

    def _add(self, name: str | None, value: Any) -> None:
        if isinstance(value, Connection):
            try:
                ends: _Ends = value.local_addr, value.peer_addr
            except OSError:
                return  # it was never connected, so there is no row of it
            (self._over if value.closed else self._live).setdefault(ends, (name, value))
        elif isinstance(value, Listener):
            if not value.closed:
                self._live.setdefault((value.local_addr, None), (name, value))
        elif name is not None and (inode := _inode(value)):
            self._plain.setdefault(inode, name)


def _named(namespace: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every socket in a variable, with what one would type to have it: ``b``, ``clients[3]``, ``room.clients[0]``."""
    later: list[tuple[str, Any]] = []
    server = getattr(sys.modules.get("socklens.server"), "Server", None)
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in ("In", "Out", "exit", "quit"):
            continue
        if isinstance(value, Connection | Listener) or _is_plain(value):
            yield name, value
        elif server is not None and isinstance(value, server):
            if value.started:
                yield name, value.listener
                later += [(f"{name}.clients[{at}]", client.conn) for at, client in enumerate(value.clients)]
        elif isinstance(value, list | tuple | set | frozenset | dict) and value:
            later += _inside(name, value)
    # A name of its own is the better one.
    yield from later


def _inside(name: str, values: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        items: Iterable[tuple[str, Any]] = ((f"{name}[{key!r}]", value) for key, value in list(values.items())[:_MOST])
    elif isinstance(values, list | tuple):
        items = ((f"{name}[{at}]", value) for at, value in enumerate(values[:_MOST]))
    else:
        items = ((f"one of {name}", value) for value in list(values)[:_MOST])
    return ((label, value) for label, value in items if isinstance(value, Connection | Listener) or _is_plain(value))


def _found() -> Iterator[tuple[None, Any]]:
    """Listeners and what they accepted, also without a variable."""
    for listener in _listen.live():
        yield None, listener
        for conn in listener.connections:
            yield None, conn


def _is_plain(value: Any) -> bool:
    """Whether it is a socket of the standard library, where that is in use."""
    module = sys.modules.get("socket")
    return module is not None and isinstance(value, module.socket)


def _inode(sock: Any) -> int:
    """The number by which the kernel's table has it; 0 if it is closed."""
    try:
        return os.fstat(sock.fileno()).st_ino
    except (OSError, ValueError, OverflowError):
        return 0
