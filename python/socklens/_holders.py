"""Who holds an address that could not be had, in a sentence. Says what the kernel's table shows, and nothing where it shows nothing."""

from __future__ import annotations

import os

from . import _cells, _listen, _programs
from ._socklens import TcpState, _holders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._address import Address

    Row = tuple[Address, Address | None, TcpState, int | None, str | None]

    Holder = tuple[Address, int | None, str | None]  # the socket's address, its process, that one's program

_ONE = "one address and port has one listener at a time"


def describe(host: str, port: int, reuse_addr: bool | None = None) -> tuple[str, Holder | None]:
    """What to put behind "address in use", and the socket that is meant; no more than the rule where the table cannot be read.

    Args:
        host: the address that was asked for.
        port: its port.
        reuse_addr: whether a listener asked for it with SO_REUSEADDR; None for a client's source, whose message has its reason already.
    """
    rows = _holders(host, port)
    listening = reuse_addr is not None
    if rows is None:
        return (f": {_ONE}" if listening else ""), None
    if not rows:
        text = (
            "No listener and no connection has it, says the kernel's table; so a program has bound it without listening. "
            "Find it among your own programs, or choose another port"
        )
        return (f": {text[0].lower()}{text[1:]}" if listening else f". {text}"), None
    listeners = [row for row in rows if row[2] == TcpState.LISTEN]
    bound = [row for row in rows if row[2] == TcpState.CLOSED]
    row = (listeners or bound or rows)[0]
    holder = (row[0], row[3], row[4])
    if listeners:
        return (f": {_ONE}. " if listening else ". ") + _listener(row), holder
    text = _bound(row) if bound else _connections(rows, reuse_addr)
    return (f": {text[0].lower()}{text[1:]}" if listening else f". {text}"), holder


def _listener(row: Row) -> str:
    local, _, _, pid, program = row
    if pid is None:
        return f"A program of another user listens on {local}; the kernel tells its name to that user alone. Choose another port"
    if pid != os.getpid():
        return f"{_named(pid, program)} listens on {local}. {_programs.ending(pid)}; or choose another port"
    listener = next((listener for listener in _listen.live() if listener.local_addr == local), None)
    if listener is None:
        return (
            f"This program (process {pid}) listens on {local} itself, with a socket that socklens.listen() did not make: "
            "close that, or choose another port"
        )
    server = _listen.owner_of(listener)
    name = _variable(listener if server is None else server)
    if server is not None:
        kind, end = ("wire", "close") if type(server).__name__ == "Wire" else ("server", "stop")
        called = f"the {kind} `{name}`" if name else f"a {kind} without a name"
        remedy = f"Use {name}.{end}() first" if name else _remedy(server)
        return f"This program has it: {called}, started in {listener.created_at}. {remedy}, or choose another port"
    called = f"`{name}`" if name else "a listener without a name"
    remedy = f"Use {name}.close() first" if name else "Open this one with replace=True"
    return f"This program has it: {called}, made in {listener.created_at}. {remedy}, or choose another port"


def _remedy(server: object) -> str:
    """How to stop a server that no variable holds."""
    from .server import servers

    place = next((place for place, other in enumerate(servers()) if other is server), None)
    return "Stop it" if place is None else f"Use sl.servers()[{place}].stop() first"


def _bound(row: Row) -> str:
    """A socket that has the address and does nothing with it; Linux shows those from 6.8 on."""
    local, _, _, pid, program = row
    if pid is None:
        return f"A program of another user has bound {local} without listening. Choose another port"
    if pid == os.getpid():
        return f"This program (process {pid}) has bound {local} without listening: close that socket, or choose another port"
    return (
        f"{_named(pid, program)} has bound {local} without listening. {_programs.ending(pid)}; or choose another port"
    )


def _named(pid: int, program: str | None) -> str:
    """Another program, as the beginning of a sentence; the name of a program keeps its letters."""
    called = _programs.called(pid, program)
    return f"A{called[1:]}" if called.startswith("a ") else called


def _connections(rows: list[Row], reuse_addr: bool | None) -> str:
    local, peer, state, pid, program = rows[0]
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    if all(row[2] == TcpState.TIME_WAIT for row in rows):
        # SO_REUSEADDR helps only if the socket that rests had it too (inet_csk_get_port, sk_reuse of both).
        hint = "leave out reuse_addr=False, " if reuse_addr is False else ""
        rests = f"Its old connection with {peer} rests in TIME_WAIT{more}, for a minute at the most"
        if reuse_addr:
            return f"{rests}: wait, or choose another port. The listener before had reuse_addr off, or this one would get it now"
        return f"{rests}: {hint}wait, or choose another port"
    owner = "this program" if pid == os.getpid() else _programs.called(pid, program) if pid else "no process any more"
    return (
        f"A connection {local} -> {peer} of {owner} has it, in state {state}{more}: close that, or choose another port"
    )


def _variable(value: object) -> str | None:
    """The variable that holds it, if one does."""
    names = [name for name, other in _cells.namespace().items() if other is value and not name.startswith("_")]
    return names[0] if names else None
