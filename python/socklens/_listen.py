"""Opening a listener, and replacing the one that the same notebook cell opened before."""

from __future__ import annotations

import sys
from _weakref import ref

from . import _cells
from ._socklens import Listener, _endpoint, _listen

# Not from `typing`, whose import would take longer than all of this package's.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._address import Address

_WILDCARDS = ("0.0.0.0", "::")


class _Made:
    """A live listener, as it was asked for, and the cell that did."""

    __slots__ = ("asked", "cell", "listener")

    def __init__(self, listener: Listener, asked: tuple[str, int], cell: _cells.Cell | None) -> None:
        self.listener = ref(listener)
        self.asked = asked
        self.cell = cell


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

    It listens on this machine alone unless another host is written out: ``"0.0.0.0"`` is all its IPv4 interfaces, ``"::"`` all its IPv6 ones.
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
    frame = sys._getframe(1)
    name, number = _endpoint(host, port)
    asked = (name, number or 0)
    cell = _cells.current(frame)
    for made in _in_the_way(asked, cell, replace):
        _replace(made)
    listener = _listen(name, asked[1], backlog, dual_stack, reuse_addr, recv_buffer, send_buffer, 1)
    _made.append(_Made(listener, asked, cell))
    return listener


def live() -> list[Listener]:
    """The open listeners that ``listen`` has made."""
    _made[:] = [made for made in _made if (listener := made.listener()) is not None and not listener.closed]
    return [listener for made in _made if (listener := made.listener()) is not None]


def _in_the_way(asked: tuple[str, int], cell: _cells.Cell | None, replace: bool) -> list[_Made]:
    live()
    return [
        made
        for made in _made
        if (replace and _collide(made, asked))
        or (_earlier(made.cell, cell) and (made.asked == asked or _collide(made, asked)))
    ]


def _earlier(made: _cells.Cell | None, now: _cells.Cell | None) -> bool:
    """Whether it was made by an earlier run of the cell that is being run."""
    return made is not None and now is not None and made.key == now.key and made.run != now.run


def _collide(made: _Made, asked: tuple[str, int]) -> bool:
    listener = made.listener()
    if listener is None or asked[1] == 0 or listener.local_addr.port != asked[1]:
        return False
    # A name is known by what it was called the last time.
    hosts = {listener.local_addr.host, made.asked[0]}
    return asked[0] in hosts or asked[0] in _WILDCARDS or not hosts.isdisjoint(_WILDCARDS)


def _replace(made: _Made) -> None:
    listener = made.listener()
    if listener is not None:
        where = listener.created_at
        listener.close()
        print(f"socklens: closed the earlier listener on {listener.local_addr} (made in {where}); this one replaces it")
