"""The clients of a server, as they are handed out: one client, and all of them at one moment. Looking changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeAlias, overload

from .._address import Address
from .._socklens import Connection, TcpState, Totals
from ._records import Who


class Client:
    """One client of a server: its connection, and what the server knows about it.

    The connection is the one that the handler has; a name makes the client easy to find in the roster.
    """

    # As a dictionary, so that Shift-Tab explains them.
    __slots__ = {
        "_name": None,
        "_rename": None,
        "_since": None,
        "conn": "The connection, the same object that its handler has.",
        "number": "The how-manyth client of this server it is, from 1 on.",
        "reason": 'Why the server ended its connection, such as "kicked"; None as long as it did not.',
        "told": "How many bytes were broadcast to it.",
    }

    def __init__(
        self,
        conn: Connection,
        number: int,
        since: float | None = None,
        name: str | None = None,
        rename: Callable[[Client, str], object] | None = None,
    ) -> None:
        self.conn = conn
        self.number = number
        self.told = 0
        self.reason: str | None = None
        self._since = time.time() if since is None else since
        self._name = name
        self._rename = rename

    @property
    def name(self) -> str | None:
        """The name that it was given, or None. A handler or anybody else sets it: ``server.clients[conn].name = "ana"``; then
        ``server.clients["ana"]`` is this client. With `sl.Chat()` the first line that it sends is its name.

        Raises:
            TypeError: on setting, what is given is not text; bytes from a client need ``.decode()``.
        """
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str):
            hint = '; write .decode("utf-8", "replace")' if isinstance(name, bytes | bytearray) else ""
            raise TypeError(f"a client's name is text, not {type(name).__name__}{hint}")
        self._name = name
        if self._rename is not None:
            self._rename(self, name)

    @property
    def since(self) -> datetime:
        """When it was accepted, in local time."""
        return datetime.fromtimestamp(self._since)

    @property
    def peer_addr(self) -> Address:
        """The client's address, as `conn.peer_addr`."""
        return self.conn.peer_addr

    @property
    def totals(self) -> Totals:
        """The bytes of its connection so far, as `conn.totals`: sent and received are the server's."""
        return self.conn.totals

    @property
    def state(self) -> TcpState:
        """The TCP state of the server's end, as `conn.state`."""
        return self.conn.state

    @property
    def who(self) -> Who:
        """Name and address, as the records keep them."""
        return Who(self._name, self.conn.peer_addr)

    def __eq__(self, other: object) -> bool:
        return (
            self.number == other.number and same(self.conn, other.conn) if isinstance(other, Client) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash((self.number, self.conn.peer_addr))

    def __repr__(self) -> str:
        name = "" if self._name is None else f" {self._name!r}"
        return f"<Client {self.number}{name} {self.conn.peer_addr}, {self.conn.state}>"


AnyClient: TypeAlias = Client | Connection | str | int
"""A client, its connection (either end of it), its name, or its number."""


def same(one: Connection, other: Connection) -> bool:
    """Whether they are the same connection: a four-tuple is one connection's alone, and a reactor gives several objects for one."""
    return one is other or (one.peer_addr == other.peer_addr and one.local_addr == other.local_addr)


def is_of(client: Client, conn: Connection) -> bool:
    """Whether this is the client's connection, seen from the server or from the client itself."""
    ours = client.conn
    return same(ours, conn) or (ours.peer_addr == conn.local_addr and ours.local_addr == conn.peer_addr)


class Roster(Sequence[Client]):
    """The clients of a server at one moment, oldest first. It does not change when clients come and go: ask the server again.

    ``roster[0]`` is the one that has been here longest, ``roster["ana"]`` the one with that name, ``roster[conn]`` the one
    with that connection, of which either end is meant; ``conn in roster`` and ``"ana" in roster`` tell whether there is one.
    ``roster.find(4)`` is the one with the number 4. It prints as a table, with the numbers below ``#``.
    """

    __slots__ = ("_clients",)

    def __init__(self, clients: Iterable[Client] = ()) -> None:
        self._clients = tuple(clients)

    def __len__(self) -> int:
        return len(self._clients)

    @overload
    def __getitem__(self, key: int | str | Connection) -> Client: ...
    @overload
    def __getitem__(self, key: slice) -> Roster: ...
    def __getitem__(self, key: int | str | Connection | slice) -> Client | Roster:
        if isinstance(key, slice):
            return Roster(self._clients[key])
        if isinstance(key, str | Connection):
            found = self._matching(key)
            if len(found) == 1:
                return found[0]
            raise KeyError(_not_one(key, found, self._clients))
        try:
            return self._clients[key]
        except IndexError:
            number = f"; the client with the number {key} is clients.find({key})" if key > 0 else ""
            raise IndexError(
                f"roster[{key}]: the roster has {count(len(self))}, and [ ] takes an index, from 0 on{number}"
            ) from None

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str | Connection):
            return bool(self._matching(key))
        return key in self._clients

    def find(self, wanted: AnyClient) -> Client:
        """The one client that is meant.

        Args:
            wanted: a client, a connection, either end of it, a name, or a number as the column ``#`` shows it.

        Raises:
            ValueError: it is none of these clients, or several have the name. TypeError: it can be no client.
        """
        if isinstance(wanted, bool) or not isinstance(wanted, Client | Connection | str | int):
            raise TypeError(
                f"a client is meant by its Client, its Connection, its name or its number, not {type(wanted).__name__}"
            )
        found = self._matching(wanted.conn if isinstance(wanted, Client) else wanted)
        if len(found) != 1:
            raise ValueError(_not_one(wanted, found, self._clients))
        return found[0]

    def _matching(self, key: str | int | Connection) -> list[Client]:
        if isinstance(key, str):
            return [client for client in self._clients if client.name == key]
        if isinstance(key, int):
            return [client for client in self._clients if client.number == key]
        return [client for client in self._clients if is_of(client, key)]

    def __eq__(self, other: object) -> bool:
        return self._clients == other._clients if isinstance(other, Roster) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._clients)

    def __repr__(self) -> str:
        from ..display.roster import as_text

        return as_text(self._clients)

    def _repr_html_(self) -> str:
        from ..display.roster import as_html

        return as_html(self._clients)


def count(clients: int) -> str:
    """So many clients, in words."""
    return f"{clients:,} client{'' if clients == 1 else 's'}"


def _not_one(wanted: AnyClient, found: Sequence[Client], among: Sequence[Client]) -> str:
    if found:
        addresses = ", ".join(str(client.peer_addr) for client in found)
        return f"{len(found)} clients have the name {wanted!r}: {addresses}. Say which one by its connection"
    here = count(len(among))
    if isinstance(wanted, Connection):
        new = (
            ""
            if wanted.closed
            else ". Connected is not yet accepted: if it is new, wait for what the server says first"
        )
        return f"{wanted!r} is neither end of a client of this server, which has {here} now{new}"
    if isinstance(wanted, Client):
        return f"{wanted!r} is no client of this server, which has {here} now"
    if isinstance(wanted, int):
        numbers = ", ".join(str(client.number) for client in among[:10]) + (", …" if len(among) > 10 else "")
        return f"no client has the number {wanted}; this server has {here} now" + (f": {numbers}" if among else "")
    names = sorted({client.name for client in among if client.name is not None})
    known = f"; names: {', '.join(map(repr, names[:10]))}" if names else ", none with a name"
    return f"no client has the name {wanted!r}; this server has {here} now{known}"
