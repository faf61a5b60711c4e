"""Which sockets this program's variables have. Only looks: at the variables of the person at the keyboard, and one level into lists,
tuples, sets and dictionaries.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TypeAlias

from .. import _cells, _listen
from .._socklens import Connection, Listener

_MOST = 100_000
"""Values that are looked at in one container."""

Found: TypeAlias = tuple[str | None, object, Connection | Listener | int]
"""A variable's name, the place in what it holds, and the socket; of one that is not of this package, its inode."""


def sockets(local: dict[str, Any]) -> list[Found]:
    """Every socket that has a name, the best first: ``b``, then ``clients[3]``; then listeners and what they accepted, without one."""
    kinds: Any = (Connection, Listener)  # as isinstance wants them
    module, serving = sys.modules.get("socket"), sys.modules.get("socklens.server")
    relaying = sys.modules.get("socklens.wire")
    plain: tuple[type, ...] = () if module is None else (module.socket,)
    named: list[Found] = []
    inside: list[Found] = []
    # The variables of the function that asks come last: a name in the notebook is found again.
    for name, value in {**local, **_cells.namespace()}.items():
        if name.startswith("_") or name in ("In", "Out"):
            continue
        if isinstance(value, kinds):
            named.append((name, None, value))
        elif isinstance(value, plain):
            named.append((name, None, _inode(value)))
        elif isinstance(value, list | tuple | set | frozenset | dict):
            inside += _inside(name, value, kinds, plain)
        elif serving is not None and isinstance(value, serving.Server) and value.started:
            named.append((name, None, value.listener))
            inside += [(f"{name}.clients", at, client.conn) for at, client in enumerate(value.clients)]
        elif relaying is not None and isinstance(value, relaying.Wire):
            named.append((name, None, value.listener))
            inside += [(f"{name}.connections", at, inode) for at, pair in enumerate(value.inodes) for inode in pair]
    nameless: list[Found] = []
    for listener in _listen.live():
        nameless += [(None, None, listener), *((None, None, conn) for conn in listener.connections)]
    return named + inside + nameless


def _inside(name: str, values: Any, kinds: Any, plain: tuple[type, ...]) -> list[Found]:
    """The sockets in a container."""
    if isinstance(values, dict):
        pairs = list(values.items())[:_MOST]
    elif isinstance(values, list | tuple):
        pairs = list(enumerate(values[:_MOST]))
    else:
        name, pairs = f"one of {name}", [(None, value) for value in list(values)[:_MOST]]
    found: list[Found] = [(name, place, value) for place, value in pairs if isinstance(value, kinds)]
    if plain:
        found += [(name, place, _inode(value)) for place, value in pairs if isinstance(value, plain)]
    return found


def _inode(sock: Any) -> int:
    """The number by which the kernel's table has it; 0 if it is closed."""
    try:
        return os.fstat(sock.fileno()).st_ino
    except (OSError, ValueError, OverflowError):
        return 0
