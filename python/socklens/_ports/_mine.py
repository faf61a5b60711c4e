"""Which sockets this program's variables have. Only looks: at the variables of the person at the keyboard, and one level into lists,
tuples, sets and dictionaries.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from .. import _cells, _listen
from .._socklens import Connection, Listener

_MOST = 100_000
"""Values that are looked at in one container."""

Found: TypeAlias = tuple[str | None, Sequence[object] | None, list[Any] | tuple[int, ...]]
"""A variable's name, the places in what it holds (None where there are none), and what is there: sockets, and other things too; in a
tuple, the inodes of sockets that no object stands for."""


def sockets(local: dict[str, Any]) -> tuple[list[Found], type | None]:
    """Where the sockets are that have a name, the best first: ``b``, then ``clients[3]``; then listeners and what they accepted, without
    one. Beside it the type of Python's own sockets; None while nobody has imported it.
    """
    kinds: Any = (Connection, Listener)  # as isinstance wants them
    module, serving = sys.modules.get("socket"), sys.modules.get("socklens.server")
    relaying = sys.modules.get("socklens.wire")
    plain: type | None = None if module is None else module.socket
    if plain is not None:
        kinds += (plain,)
    named: list[Found] = []
    inside: list[Found] = []
    # The variables of the function that asks come last: a name in the notebook is found again.
    for name, value in {**local, **_cells.namespace()}.items():
        if name.startswith("_") or name in ("In", "Out"):
            continue
        if isinstance(value, kinds):
            named.append((name, None, [value]))
        elif isinstance(value, list | tuple | set | frozenset | dict):
            inside.append(_inside(name, value))
        elif serving is not None and isinstance(value, serving.Server) and value.started:
            named.append((name, None, [value.listener]))
            clients = [client.conn for client in value.clients]
            inside.append((f"{name}.clients", range(len(clients)), clients))
        elif relaying is not None and isinstance(value, relaying.Wire):
            named.append((name, None, [value.listener]))
            pairs = [(at, inode) for at, pair in enumerate(value.inodes) for inode in pair]
            inside.append((f"{name}.connections", [at for at, _ in pairs], tuple(inode for _, inode in pairs)))
    nameless = [(None, None, [listener, *listener.connections]) for listener in _listen.live()]
    return named + inside + nameless, plain


def _inside(name: str, values: Any) -> Found:
    """What a container has, and where."""
    if isinstance(values, dict):
        pairs = list(values.items())[:_MOST]
        return name, [key for key, _ in pairs], [value for _, value in pairs]
    if isinstance(values, list | tuple):
        some = list(values[:_MOST])
        return name, range(len(some)), some
    return f"one of {name}", None, list(values)[:_MOST]
