"""The servers of this program: which of them an endpoint belongs to, whom they serve, and what they remember of a client. Servers that run
and those that variables hold; their records are read, and nothing of theirs is run.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from .._address import same
from ..display.escape import cut, escape
from . import _process, _scene

if TYPE_CHECKING:
    from .._address import Address
    from ..server import Server, ServerError
    from ._case import Case
    from ._scene import Scene


CLIENTS = ".clients["
"""What stands between a server's name and a client's index in the code for that client."""


def servers(scene: Scene) -> list[tuple[str, Server]]:
    """Each server once, with the code that stands for it: a variable's name, or its place in ``sl.servers()``."""
    module = sys.modules.get("socklens.server")
    if module is None:
        return []
    if scene.servers is not None:
        return scene.servers  # thousands of threads have many variables to look through
    found: dict[int, tuple[str, Server]] = {}
    for names in _process.scopes(scene):
        for name, thing in names:
            if isinstance(thing, module.Server):
                found.setdefault(id(thing), (name, thing))
    for i, server in enumerate(module.servers()):
        found.setdefault(id(server), (f"sl.servers()[{i}]", server))
    scene.servers = list(found.values())
    return scene.servers


def at(scene: Scene, endpoint: Address) -> tuple[str, Server] | None:
    """The server whose clients connect to this endpoint."""
    for name, server in servers(scene):
        if server.started and server.local_addr.port == endpoint.port:
            return name, server
    return None


def not_started(scene: Scene, endpoint: Address) -> tuple[str, Server] | None:
    """The server that is meant for this endpoint, and does not run."""
    for name, server in servers(scene):
        asked = server.local_addr.port if server.started else server._port
        if not server.running and asked == endpoint.port:
            return name, server
    return None


class Told(NamedTuple):
    """What a server remembers of a client."""

    step: str
    """The next step."""
    unread: int = 0
    """Bytes that had come from the client, and the handler had not read when it ended."""


def told_of_client(case: Case) -> Told | None:
    """Adds what a server of this program remembers of the client that the error is about; None if none does."""
    ends = case.scene.ends
    named = None if ends is None or ends[1] is None else at(case.scene, ends[1])
    if ends is None or named is None:
        return None
    name, server = named
    left = server._ledger.left(ends[0])
    unread = 0 if left is None else left.unread
    with_unread = f" with {_bytes(unread)} unread" if unread else ""
    for i, failure in reversed(list(enumerate(server.errors))):
        if failure.client is not None and same(failure.client.peer_addr, ends[0]):
            error = failure.exception
            where = f" ({escape(found)})" if (found := failure.where) else ""
            said = escape(cut(f"{type(error).__name__}: {_scene.said(error)}", 120), keep="\\")
            case.saw(
                f"the handler of `{name}` raised {said}{where}, at {failure.when:%H:%M:%S}{with_unread}",
                "Server.errors",
            )
            return Told(
                f"Mend the handler of `{name}`: print({name}.errors[{i}].traceback) shows where it failed", unread
            )
    for dropped in reversed(server.dropped):
        if same(dropped.peer_addr, ends[0]):
            case.saw(f"`{name}` ended it at {dropped.when:%H:%M:%S}: {escape(dropped.reason)}", "Server.dropped")
            return Told(f"Look at {name}.dropped: the server ended this connection, not its handler", unread)
    if left is None:
        return None
    case.saw(f"the handler of `{name}` returned at {left.when:%H:%M:%S}{with_unread}", "what the server remembers")
    if unread:
        return Told(
            'Let the handler read until recv() gives b"" before it returns: its connection is closed then, and '
            f"close() with {_bytes(unread)} unread sends RST instead of FIN",
            unread,
        )
    return Told("Let the handler go on while its client talks: when it returns, the connection is closed")


def raised_by_handler(case: Case, error: BaseException, record: ServerError | None) -> str | None:
    """Adds where a server's handler raised this error, which is not a socket's; the next step. None if no server has it in its records."""
    name, place = "", 0
    for called, server in servers(case.scene):
        for i, one in enumerate(server.errors):
            if one is record or one.exception is error:
                name, place, record = called, i, one
    if record is None or record.client is None:
        return None
    where = escape(record.where) if record.where else ""
    handler = f"the handler of `{name}`" if name else "the handler"
    line = f" at {where}," if where else ""
    client = escape(str(record.client.peer_addr))
    case.saw(f"{handler} raised it,{line} while it served {client}, at {record.when:%H:%M:%S}", "ServerError.where")
    case.saw(
        "its client has seen no more of it than the end of the connection", "what a server does when a handler fails"
    )
    traceback = f"print({name}.errors[{place}].traceback)" if name else "print() of the record's traceback"
    return f"Mend {where or handler}: {traceback} shows how it came there"


def _bytes(number: int) -> str:
    return f"{number:,} byte{'' if number == 1 else 's'}"
