"""Sockets of Python's own that a story includes. Their class is exchanged for a subclass that records and is otherwise the same;
nothing else is
touched, and when no story includes them any more they get their class back.
"""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from .._socklens import _record_call, _record_clock, _record_number

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
_TCP_INFO = getattr(socket, "TCP_INFO", None)


class _Known:
    """What is counted for one socket."""

    __slots__ = ("lock", "number", "read", "sent", "stories")

    def __init__(self, sent: int | None, read: int | None) -> None:
        self.number = _record_number()
        self.stories = 0
        self.sent = sent
        self.read = read
        self.lock = threading.Lock()


_known: weakref.WeakKeyDictionary[socket.socket, _Known] = weakref.WeakKeyDictionary()


def include(sock: Any, included: list[Any]) -> None:
    """Has one socket recorded, and remembers it in `included`."""
    kind = type(sock)
    if kind not in (socket.socket, Recorded):
        why = (
            "socklens objects are recorded without this" if kind.__module__.startswith("socklens") else "TLS is not TCP"
        )
        raise TypeError(f"include takes a plain socket.socket, not {kind.__name__}: {why}")
    known = _known.get(sock)
    if known is None:
        known = _known[sock] = _Known(*_carried(sock))
    if not any(one() is sock for one in included):
        known.stories += 1
        included.append(weakref.ref(sock))
        _stories[sock] = included
    sock.__class__ = Recorded


_stories: weakref.WeakKeyDictionary[socket.socket, list[Any]] = weakref.WeakKeyDictionary()


def number_of(thing: object) -> int | None:
    """The number that an included socket is recorded by."""
    known = _known.get(thing) if isinstance(thing, socket.socket) else None
    return None if known is None else known.number


def leave(included: Iterable[Any]) -> None:
    """Ends the recording of the sockets that one story has included."""
    for one in included:
        sock = one()
        if sock is None:
            continue
        known = _known[sock]
        known.stories -= 1
        if not known.stories:
            sock.__class__ = socket.socket


def _carried(sock: socket.socket) -> tuple[int | None, int | None]:
    """The bytes it has carried already, (sent, read), where Linux counts them (TCP_INFO); a socket that is not connected has carried
    none."""
    try:
        sock.getpeername()
    except OSError:
        return 0, 0
    try:
        import fcntl

        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
        received, sent, repeated = (int.from_bytes(info[at : at + 8], "little") for at in (128, 200, 208))
        unread, unsent = (
            int.from_bytes(fcntl.ioctl(sock, request, bytes(4)), "little") for request in (0x541B, 0x894B)
        )
    except (ImportError, AttributeError, OSError):
        return None, None
    if len(info) < 216 or info[0] != 1:  # an older kernel, or a FIN that is counted too
        return None, None
    return sent - repeated + unsent, received - unread


def _state(sock: socket.socket) -> int:
    """Linux's number of the socket's state; 0 where it is not known."""
    if _TCP_INFO is None or sock.fileno() < 0:
        return 0
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
    except OSError:
        return 0


def _address(ask: Callable[[], Any]) -> tuple[str, int] | None:
    try:
        host, port = ask()[:2]
    except (OSError, ValueError):
        return None
    return host, port


def _size(data: Buffer) -> int:
    with memoryview(data) as view:
        return view.nbytes


def _first(data: Buffer, count: int | None = None) -> bytes:
    with memoryview(data) as view, view.cast("B") as flat:
        return bytes(flat[: 32 if count is None else min(count, 32)])


class Recorded(socket.socket):
    """A `socket.socket` while a story includes it."""

    __slots__ = ()

    def _told(
        self,
        call: str,
        work: Callable[[], T],
        *,
        out: Callable[[T], tuple[int, bytes]] | None = None,
        into: Callable[[T], tuple[int, bytes]] | None = None,
        looks: bool = False,
        peer: Any = None,
        made: Callable[[T], int] | None = None,
    ) -> T:
        """Runs the call and records it. `out` and `into` say what it moved: how many bytes, and the first of them."""
        known = _known[self]
        local, other = _address(self.getsockname), _address(self.getpeername) or _address(lambda: peer or ())
        before = _state(self) if looks else 0
        moved: tuple[bool, int | None, int] | None = None
        head, end, failure, maker = b"", False, None, None
        began = _record_clock()
        try:
            result = work()
        except BaseException as error:
            failure = (type(error).__name__, getattr(error, "errno", None), str(error))
            if out is not None:
                with known.lock:
                    before_it, known.sent = known.sent, _carried(self)[0] if self.fileno() >= 0 else None
                    if before_it is not None and known.sent is not None and known.sent > before_it:
                        # What the kernel had taken before sendall failed.
                        moved = (True, before_it, known.sent - before_it)
            raise
        else:
            if made is not None:
                maker = made(result)
                other = _address(lambda: result[1])  # type: ignore[index]
            local = _address(self.getsockname) or local
            if (measure := out or into) is not None:
                count, head = measure(result)
                end = into is not None and count == 0
                with known.lock:
                    at = known.sent if out is not None else known.read
                    if at is not None and out is not None:
                        known.sent = at + count
                    elif at is not None:
                        known.read = at + count
                moved = (out is not None, at, count) if count else None
            return result
        finally:
            after = _state(self) if looks or end or failure is not None else 0
            ends = (local, None if call == "listen" else other)
            _record_call(known.number, call, began, ends, maker, moved, head, end, (before, after), failure)

    def connect(self, address: Any, /) -> None:
        """As the socket's own."""
        self._told("connect", lambda: socket.socket.connect(self, address), looks=True, peer=address)

    def connect_ex(self, address: Any, /) -> int:
        """As the socket's own."""
        return self._told("connect_ex", lambda: socket.socket.connect_ex(self, address), looks=True, peer=address)

    def listen(self, *backlog: int) -> None:
        """As the socket's own."""
        self._told("listen", lambda: socket.socket.listen(self, *backlog), looks=True)

    def accept(self) -> tuple[socket.socket, Any]:
        """As the socket's own; the new socket is recorded too."""

        def taken_in(accepted: tuple[socket.socket, Any]) -> int:
            include(accepted[0], _stories[self])
            return _known[accepted[0]].number

        return self._told("accept", lambda: socket.socket.accept(self), made=taken_in)

    def send(self, data: Buffer, *flags: int) -> int:
        """As the socket's own."""
        return self._told("send", lambda: socket.socket.send(self, data, *flags), out=lambda n: (n, _first(data, n)))

    def sendall(self, data: Buffer, *flags: int) -> None:
        """As the socket's own."""
        self._told(
            "sendall", lambda: socket.socket.sendall(self, data, *flags), out=lambda _: (_size(data), _first(data))
        )

    def sendmsg(self, buffers: Iterable[Buffer], *more: Any) -> int:
        """As the socket's own."""
        parts = list(buffers)
        return self._told(
            "sendmsg",
            lambda: socket.socket.sendmsg(self, parts, *more),
            out=lambda n: (n, b"".join(_first(part) for part in parts[:32])[: min(n, 32)]),
        )

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As the socket's own; the bytes go from the file to the kernel, so that none of them can be shown."""
        known = _known[self]
        before = known.sent

        def rest(sent: int) -> tuple[int, bytes]:
            # Where the system has no sendfile(2), Python's is made of send(), whose calls are recorded themselves.
            return (sent if known.sent == before else 0), b""

        return self._told("sendfile", lambda: socket.socket.sendfile(self, file, offset, count), out=rest)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As the socket's own."""
        into = None if flags & socket.MSG_PEEK else _whole
        return self._told("recv" if into else "peek", lambda: socket.socket.recv(self, size, flags), into=into)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """As the socket's own."""
        into: Callable[[int], tuple[int, bytes]] | None
        into = None if flags & socket.MSG_PEEK else lambda n: (n, _first(buffer, n))
        call = "recv_into" if into else "peek"
        return self._told(call, lambda: socket.socket.recv_into(self, buffer, nbytes, flags), into=into)

    def recvmsg(self, size: int, ancillary: int = 0, flags: int = 0, /) -> Any:
        """As the socket's own."""
        into = None if flags & socket.MSG_PEEK else lambda message: _whole(message[0])
        work = lambda: socket.socket.recvmsg(self, size, ancillary, flags)  # noqa: E731
        return self._told("recvmsg" if into else "peek", work, into=into)

    def shutdown(self, how: int, /) -> None:
        """As the socket's own."""
        self._told("shutdown", lambda: socket.socket.shutdown(self, how), looks=True)

    def close(self) -> None:
        """As the socket's own."""
        if self.fileno() < 0:
            return socket.socket.close(self)
        return self._told("close", lambda: socket.socket.close(self), looks=True)

    def detach(self) -> int:
        """As the socket's own."""
        return self._told("detach", lambda: socket.socket.detach(self), looks=True)


def _whole(data: bytes) -> tuple[int, bytes]:
    return len(data), data[:32]
