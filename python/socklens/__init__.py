"""Real TCP sockets you can see through.

    import socklens as sl

    listener = sl.listen("127.0.0.1", 6666)
    b = sl.connect("127.0.0.1", 6666)
    a_for_b = listener.accept(timeout=5)
    b.send(b"hello")
    a_for_b.input_buffer, a_for_b.recv(1024)

Every value shown is read from the kernel or counted by the calls themselves. Importing this package opens nothing and
imports neither ``socket`` nor ``asyncio``; `Server` and its kin are imported when they are first used.
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
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
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
