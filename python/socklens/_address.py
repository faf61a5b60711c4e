"""Addresses and small named tuples. Plain values: nothing here touches a socket."""

from __future__ import annotations

from operator import itemgetter


class Address(tuple):  # type: ignore[type-arg]  # two elements of different types, typed by the properties below
    """One endpoint of a connection: a named tuple ``(host, port)``.

    It unpacks and compares like the tuple that Python's ``socket`` uses, and prints as a person writes it:
    ``127.0.0.1:6666``, or ``[::1]:6666`` for IPv6 (RFC 3986 section 3.2.2). A link-local IPv6 address keeps its
    zone in the host, as in ``fe80::1%2`` (RFC 4007).

    >>> a = Address("127.0.0.1", 6666)
    >>> host, port = a
    >>> str(a), a == ("127.0.0.1", 6666)
    ('127.0.0.1:6666', True)
    """

    __slots__ = ()
    __match_args__ = ("host", "port")
    _fields = ("host", "port")

    def __new__(cls, host: str, port: int) -> Address:
        return tuple.__new__(cls, (host, port))

    def __getnewargs__(self) -> tuple[str, int]:
        return (self[0], self[1])

    host: str = property(itemgetter(0), doc="The IP address as text.")  # type: ignore[assignment]
    port: int = property(itemgetter(1), doc="The port, 0 to 65535.")  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Address({self[0]!r}, {self[1]!r})"

    def __str__(self) -> str:
        return f"[{self[0]}]:{self[1]}" if ":" in self[0] else f"{self[0]}:{self[1]}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def same(one: Address | None, other: Address | None) -> bool:
    """Whether two endpoints are one: a dual-stack socket shows an IPv4 address in IPv6's form (RFC 4291 section 2.5.5.2)."""
    if one is None or other is None:
        return one is other
    return one.port == other.port and _plain(one) == _plain(other)


def _plain(address: Address) -> str:
    host = address.host
    return host.removeprefix("::ffff:") if "." in host else host


def queue_words(waiting: int, limit: int, what: str = "waiting") -> str:
    """An accept queue in words, the same in every picture and sentence: the kernel's limit, and that one more fits where that shows."""
    if waiting <= limit:
        return f"{waiting:,} {what}, limit {limit:,}"
    return f"{waiting:,} {what}, full (limit {limit:,} lets {waiting:,} wait)"


class Backlog(tuple):  # type: ignore[type-arg]
    """A listener's accept queue: a named tuple ``(waiting, limit)``, both in connections.

    ``waiting`` clients have finished the three-way handshake and nobody has accepted them yet. ``limit`` is the backlog
    that the kernel granted. Linux lets one more wait: the queue is full when ``waiting`` is greater than ``limit`` (listen(2), and
    ``sk_acceptq_is_full`` in the kernel). Wherever a limit is shown, it is the kernel's number.
    """

    __slots__ = ()
    __match_args__ = ("waiting", "limit")
    _fields = ("waiting", "limit")

    def __new__(cls, waiting: int, limit: int) -> Backlog:
        return tuple.__new__(cls, (waiting, limit))

    def __getnewargs__(self) -> tuple[int, int]:
        return (self[0], self[1])

    waiting: int = property(itemgetter(0), doc="Connections that wait to be accepted.")  # type: ignore[assignment]
    limit: int = property(itemgetter(1), doc="The backlog the kernel granted.")  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Backlog(waiting={self[0]}, limit={self[1]})"
