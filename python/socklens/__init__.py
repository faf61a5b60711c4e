"""Real TCP sockets you can see through.

    import socklens as sl

    listener = sl.listen("127.0.0.1", 6666)
    b = sl.connect("127.0.0.1", 6666)
    a_for_b = listener.accept(timeout=5)
    b.send(b"hello")
    a_for_b.input_buffer, a_for_b.recv(1024)

Every value shown is read from the kernel or counted by the calls themselves. ``help(sl.connect)``, or ``sl.connect?`` in a notebook, tells
more of each name.

Opening sockets
    listen               open a listener, which waits for clients
    connect              connect to a listener
    pair                 two connected ends, for experiments and tests
    set_default_timeout  the timeout of all sockets that are made from now on
    get_default_timeout  what it is now
    aio                  ``await sl.aio.connect(...)``; ``conn.aio`` and ``listener.aio`` have the awaitable twins of all calls that wait

What they are
    Listener             a listening socket: accept, backlog, connections
    Connection           one end of a connection: send, recv, both buffers, state, close
    Lines                what ``conn.lines()`` returns
    Address              an endpoint, ``(host, port)``
    Backlog              a listener's accept queue, ``(waiting, limit)``
    InputBuffer          what has come and was not read
    OutputBuffer         what was sent and is not acknowledged
    Totals               bytes over a connection's life
    TcpState             a state of a TCP connection
    TcpInfo              all that the kernel tells of a connection

Serving many clients
    Server               calls a handler with the connection of each client
    servers              the servers that run now
    Echo                 a handler in Rust: sends every byte back
    LineEcho             a handler in Rust: sends every line back
    Chat                 a handler in Rust: a chat room; the first line that a client sends is its name
    Discard              a handler in Rust: takes every byte and answers nothing
    Daytime              a handler in Rust: sends the date and time
    OnMessage            a handler in Rust that calls a Python function for each message
    Roster               the clients of a server: ``server.clients``
    Client               one of them, with its name
    Dropped              a client that the server has dropped: ``server.dropped``
    ServerError          what a handler raised: ``server.errors``

Seeing
    lens                 both ends of a connection in one picture: where every byte is
    look                 any socket, also one of Python's own
    watch                a live picture in a notebook
    record               records what happens in a ``with`` block, for a ladder diagram
    Lens                 what ``lens`` returns
    Look                 what ``look`` returns
    Watch                what ``watch`` returns
    Story                what ``record`` has recorded
    Event                a call in a story
    Ledger               which recv got which bytes of which send: ``story.ledger()``
    Piece                a row of the ledger

Ports and addresses
    ports                the sockets of this machine, and who has them
    port_check           what is known of one port
    addresses            this machine's addresses
    resolve              the addresses of a name
    PortTable            what ``ports`` returns
    PortRow              one socket in it
    PortDiff             what has changed between two tables
    PortCheck            what ``port_check`` returns
    Role                 listener, accepted, not accepted yet, client or bound
    AddressTable         what ``addresses`` returns
    MachineAddress       one address in it
    Resolved             what ``resolve`` returns

When it fails
    explain              why an error happened, with the evidence and the next step
    explain_errors       shows that under every error of socklens
    Diagnosis            what ``explain`` returns
    Cause                its cause
    Fact                 a piece of its evidence
    ClosedError          a call on an object that this program has closed
    FrameTooLongError    a line or frame is longer than the call allows; no byte is lost
    IncompleteReadError  the peer finished inside a line or frame

Trying programs
    check                checks of a student's server or client: ``help(sl.check)``
    Wire                 a relay that splits, delays, stalls and resets on purpose
    WireConnection       one relayed connection
    WireStory            what a wire did
    WireEvent            one thing that it did

Importing this package opens nothing and imports neither ``socket`` nor ``asyncio``; `Server` and its kin are imported when they are first
used.
"""

import sys as _sys

from . import _twins
from ._address import Address, Backlog
from ._errors import ClosedError, FrameTooLongError, IncompleteReadError
from ._listen import listen
from ._socklens import (
    Chat,
    Connection,
    Daytime,
    Discard,
    Echo,
    InputBuffer,
    LineEcho,
    Lines,
    Listener,
    OnMessage,
    OutputBuffer,
    TcpInfo,
    TcpState,
    Totals,
    __version__,
    connect,
    get_default_timeout,
    pair,
    set_default_timeout,
)

# What is imported when it is first used: most programs need none of it, and all would pay for threads and event loops.
_LATER = {
    name: module
    for module, names in {
        "_explain": ("Cause", "Diagnosis", "Fact", "explain", "explain_errors"),
        "_ports": (
            *("AddressTable", "MachineAddress", "PortCheck", "PortDiff", "PortRow", "PortTable", "Resolved", "Role"),
            *("addresses", "port_check", "ports", "resolve"),
        ),
        "aio": ("aio",),
        "check": ("check",),
        "seeing": ("Lens", "Look", "Watch", "lens", "look", "watch"),
        "story": ("Event", "Ledger", "Piece", "Story", "record"),
        "server": ("Client", "Dropped", "Roster", "Server", "ServerError", "servers"),
        "wire": ("Wire", "WireConnection", "WireEvent", "WireStory"),
    }.items()
    for name in names
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aio as aio
    from . import check as check
    from ._explain import Cause, Diagnosis, Fact, explain, explain_errors
    from ._ports import (
        AddressTable,
        MachineAddress,
        PortCheck,
        PortDiff,
        PortRow,
        PortTable,
        Resolved,
        Role,
        addresses,
        port_check,
        ports,
        resolve,
    )
    from .seeing import Lens, Look, Watch, lens, look, watch
    from .server import Client, Dropped, Roster, Server, ServerError, servers
    from .story import Event, Ledger, Piece, Story, record
    from .wire import Wire, WireConnection, WireEvent, WireStory
del TYPE_CHECKING


def __getattr__(name: str) -> object:
    """Imports what is used for the first time (PEP 562)."""
    if name not in _LATER:
        hint = ""
        if not name.startswith("_"):
            from difflib import get_close_matches

            close = get_close_matches(name, __all__, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    from importlib import import_module

    module = import_module(f".{_LATER[name]}", __name__)
    value: object = module if name == _LATER[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


_twins.offer()

if "IPython" in _sys.modules:
    from . import _notebook
    from ._shift_tab import explain_attributes as _explain_attributes

    _notebook.follow()

    _explain_attributes(Connection, InputBuffer, Listener, OutputBuffer, TcpInfo, TcpState, Totals)

    from ._rich import draw_in_notebooks as _draw_in_notebooks

    _draw_in_notebooks()

__all__ = [
    "Address",
    "AddressTable",
    "Backlog",
    "Cause",
    "Chat",
    "Client",
    "ClosedError",
    "Connection",
    "Daytime",
    "Diagnosis",
    "Discard",
    "Dropped",
    "Echo",
    "Event",
    "Fact",
    "FrameTooLongError",
    "IncompleteReadError",
    "InputBuffer",
    "Ledger",
    "Lens",
    "LineEcho",
    "Lines",
    "Listener",
    "Look",
    "MachineAddress",
    "OnMessage",
    "OutputBuffer",
    "Piece",
    "PortCheck",
    "PortDiff",
    "PortRow",
    "PortTable",
    "Resolved",
    "Role",
    "Roster",
    "Server",
    "ServerError",
    "Story",
    "TcpInfo",
    "TcpState",
    "Totals",
    "Watch",
    "Wire",
    "WireConnection",
    "WireEvent",
    "WireStory",
    "__version__",
    "addresses",
    "connect",
    "explain",
    "explain_errors",
    "get_default_timeout",
    "lens",
    "listen",
    "look",
    "pair",
    "port_check",
    "ports",
    "record",
    "resolve",
    "servers",
    "set_default_timeout",
    "watch",
]
