"""Real TCP sockets you can see through.

    import socklens as sl

    listener = sl.listen("127.0.0.1", 6666)
    b = sl.connect("127.0.0.1", 6666)
    a_for_b = listener.accept(timeout=5)
    b.send(b"hello")
    a_for_b.input_buffer, a_for_b.recv(1024)

Every value shown is read from the kernel or counted by the calls themselves. Importing this package opens nothing and
imports neither ``socket`` nor ``asyncio``.
"""

import sys as _sys

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

if "IPython" in _sys.modules:
    from ._shift_tab import explain_attributes as _explain_attributes

    _explain_attributes(Connection, InputBuffer, Listener, OutputBuffer, TcpInfo, TcpState, Totals)

__all__ = [
    "Address",
    "Backlog",
    "Chat",
    "ClosedError",
    "Connection",
    "Daytime",
    "Discard",
    "Echo",
    "FrameTooLongError",
    "IncompleteReadError",
    "InputBuffer",
    "LineEcho",
    "Lines",
    "Listener",
    "OnMessage",
    "OutputBuffer",
    "TcpInfo",
    "TcpState",
    "Totals",
    "__version__",
    "connect",
    "get_default_timeout",
    "listen",
    "pair",
    "set_default_timeout",
]
