"""Opening a listener, and replacing the one that the same notebook cell opened before; the same for the listener of a server or a wire."""

from __future__ import annotations

import sys
from _weakref import ref
from errno import EADDRINUSE

from . import _cells
from ._door import door
from ._socklens import Listener, _endpoint, _holders, _listen

# Not from `typing`, whose import would take longer than all of this package's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ._address import Address

    class Owner(Protocol):
        """A server or a wire, which ends together with its listener."""

        def _give_way(self) -> tuple[str, int]:
            """Ends it; returns what was done, and how many clients lost their connection by it."""


class _Made:
    """A live listener, as it was asked for, the cell that did, and the server that it is for, if it is."""

    __slots__ = ("address", "asked", "cell", "listener", "owner", "where")

    def __init__(
        self, listener: Listener, asked: tuple[str, int], cell: _cells.Cell | None, owner: Owner | None
    ) -> None:
        self.listener = ref(listener)
        self.address = listener.local_addr
        self.where = listener.created_at
        self.asked = asked
        self.cell = cell
        self.owner = None if owner is None else ref(owner)

    def end(self) -> str:
        """Closes it, or stops its server, and returns what is to be said about that."""
        owner = None if self.owner is None else self.owner()
        if owner is not None:
            what, dropped = owner._give_way()
            lost = f"; {dropped} client{'s' if dropped > 1 else ''} dropped" if dropped else ""
            return f"{what} on {self.address} (started in {self.where}{lost})"
        listener = self.listener()
        if listener is not None:
            listener.close()
        return f"closed the earlier listener on {self.address} (made in {self.where})"


_made: list[_Made] = []


def listen(
    host: str | tuple[str, int] | tuple[str, int, int, int] | Address = "127.0.0.1",
    port: int | None = None,
    *,
    backlog: int = 128,
    dual_stack: bool = False,
    reuse_addr: bool = True,
    recv_buffer: int | None = None,
    send_buffer: int | None = None,
    replace: bool = False,
) -> Listener:
    """Open a listener and return it (bind(2), listen(2)).

    It listens on this machine alone unless another host is written out: ``"0.0.0.0"`` is all its IPv4 interfaces, ``"::"`` all its
    IPv6 ones.
    When a notebook cell is run again, the listener that it opened before is closed and replaced, and one line says so.

    Args:
        host: an address of this machine or a name for it; or the whole endpoint, as ``"127.0.0.1:6666"`` or ``("127.0.0.1", 6666)``.
        port: 1 to 65535; 0, or none, is any free port, which ``local_addr`` tells.
        backlog: how many connections may wait to be accepted; a Linux queue of n holds n + 1, and the kernel caps n (net.core.somaxconn).
        dual_stack: with host ``"::"``, serve IPv4 clients on the same socket.
        reuse_addr: bind although old connections of the port rest in TIME_WAIT (SO_REUSEADDR). False shows that conflict.
        recv_buffer: receive buffer to ask of the kernel in bytes, for accepted connections (SO_RCVBUF).
        send_buffer: send buffer to ask of the kernel in bytes, for accepted connections (SO_SNDBUF).
        replace: close any listener of this program that has this address, whichever cell or line opened it.

    Raises:
        OSError: EADDRINUSE, with who has the address; EADDRNOTAVAIL, it is not this machine's; EACCES, a privileged port.
        OverflowError, ValueError, TypeError: there is no such endpoint. socket.gaierror: the name has no address.
    """
    # The user's line: this function's caller.
    with door:
        return open_listener(
            host, port, backlog, dual_stack, reuse_addr, recv_buffer, send_buffer, replace=replace, owner=None, outer=1
        )


def open_listener(
    host: str | tuple[str, int] | tuple[str, int, int, int] | Address,
    port: int | None,
    backlog: int,
    dual_stack: bool = False,
    reuse_addr: bool = True,
    recv_buffer: int | None = None,
    send_buffer: int | None = None,
    *,
    replace: bool = False,
    owner: Owner | None,
    outer: int,
) -> Listener:
    """`listen`, also for a server: the cell that is run again then replaces the server. The user's line is `outer` calls further out."""
    cell = _cells.current(sys._getframe(outer + 1))
    name, number = _endpoint(host, port)
    asked = (name, number or 0)

    def opened() -> Listener:
        return _listen(name, asked[1], backlog, dual_stack, reuse_addr, recv_buffer, send_buffer, outer + 2)

    ours = [made for made in _live() if replace or _earlier(made.cell, cell)]
    said = []
    try:
        listener = opened()
    except OSError as error:
        # Nothing is closed unless it is in the way: the kernel has said that something is.
        in_the_way = [made for made in ours if error.errno == EADDRINUSE and _has_port(made, asked, dual_stack)]
        if not in_the_way:
            if replace and error.errno == EADDRINUSE:
                error.add_note("replace=True closes listeners of this program alone, and none of them has it")
            raise
        said = [made.end() for made in in_the_way]
        listener = opened()
    # A free port collides with nothing, and a server has threads of its own: run again, the cell would pile up what nobody can reach.
    for made in _live():
        if _earlier(made.cell, cell) and (made.owner is not None or (asked[1] == 0 and made.asked == asked)):
            said.append(made.end())
    for what in said:
        print(f"socklens: {what}; this one replaces it")
    _made.append(_Made(listener, asked, cell, owner))
    return listener


def live() -> list[Listener]:
    """The open listeners that ``listen`` has made."""
    return [listener for made in _live() if (listener := made.listener()) is not None]


def owner_of(listener: Listener) -> Owner | None:
    """The server that this listener was opened for; None for a listener of its own."""
    return next((made.owner() for made in _live() if made.owner is not None and made.listener() is listener), None)


def _live() -> list[_Made]:
    _made[:] = [made for made in _made if (listener := made.listener()) is not None and not listener.closed]
    return list(_made)


def _earlier(made: _cells.Cell | None, now: _cells.Cell | None) -> bool:
    """Whether it was made by an earlier run of the cell that is being run."""
    return made is not None and now is not None and made.key == now.key and made.run != now.run


def _has_port(made: _Made, asked: tuple[str, int], dual_stack: bool) -> bool:
    """Whether it can be what keeps the asked address from being had: the same port, on the same address or on all of its family."""
    listener = made.listener()
    if listener is None or asked[1] == 0 or made.address.port != asked[1]:
        return False
    here = made.address.host
    rows = _holders(*asked) or []
    if rows and not any(local == made.address for local, *_ in rows):
        return False
    both = listener.dual_stack or dual_stack
    return both or (":" in here) == (":" in asked[0]) or asked[0] in (made.asked[0], here) or not rows
