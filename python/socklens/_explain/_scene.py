"""What an error tells by itself: which call, on what, for which endpoint. Reads the error and its traceback; asks the kernel nothing."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import Connection, Listener
from .._address import Address
from ..display.escape import escape
from . import _call
from ._call import UNKNOWN

if TYPE_CHECKING:
    from types import FrameType

Ends = tuple[Address, Address | None]

_ADDRESS = r"(\[[^\]\s]+\]|[\w.:%-]+?):(\d{1,5})\b"
_BETWEEN = re.compile(rf"\bconnect from {_ADDRESS} to {_ADDRESS}")
_OPENING = re.compile(rf"\b(connect to|connect from|listen on) {_ADDRESS}")
_CONNECTION = re.compile(rf"(?:\b(\w+)(?: on|: the peer of|:) )?\bConnection {_ADDRESS} -> {_ADDRESS}")
_LISTENER = re.compile(rf"(?:\b(\w+)(?: on|:) )?\bListener {_ADDRESS}")
_ASYNCIO = re.compile(r"(Connect call failed|bind on address) \('([^']+)', (\d+)")
_OURS = re.compile(
    rf"(connect to|connect from|listen on) {_ADDRESS}(: | to | timed out after )|\w+(?: on|:| of) (Connection|Listener) [\[\w.]"
    r"|\w+ takes bytes, not str|^(\[Errno -?\d+\] )?the name \"|is a URL; an endpoint is"
)
_LIBRARY = {
    "connect_ex": "connect",
    "create_connection": "connect",
    "sock_connect": "connect",
    "_connect_sock": "connect",
}
_WAYS = frozenset(
    "connect bind listen accept recv recv_into recvfrom recv_exactly recv_line recv_until recv_frame recv_all lines peek send sendall "
    "send_frame sendto shutdown wait_connected getaddrinfo sendfile".split()
)


@dataclass(slots=True)
class Scene:
    """An error, and what it is about as far as the error itself tells."""

    error: BaseException
    text: str
    number: int | None = None
    doing: str = ""
    target: Address | None = None
    """The endpoint that was to be connected to, or to be had."""
    source: Address | None = None
    """The endpoint that it was to be connected from, where the error names it."""
    ends: Ends | None = None
    """Of a connection: this side's endpoint and the peer's."""
    thing: object = None
    """The connection, listener or socket whose call failed."""
    frames: list[FrameType] = field(default_factory=list)
    args: tuple[object, ...] = ()
    named: dict[str, object] = field(default_factory=dict)
    """The arguments of the call that were given by name."""
    written: tuple[tuple[str, object], ...] = ()
    """Of a call of socklens: its arguments as the source has them, and their values."""
    called: str = ""
    """The function of socklens that was called, as help() takes it."""
    objects: list[tuple[str, object]] | None = None
    """The sockets that this program can name; None while nobody has looked."""
    servers: list[tuple[str, Any]] | None = None
    """Its servers, likewise."""
    ours: bool = False
    """Whether it comes from an object or a function of socklens."""

    @property
    def told(self) -> str:
        """The error as the last line of a traceback tells it, without the notes."""
        # A backslash stays as it is, for Python prints it so: what a message quotes is escaped in it already.
        return escape(
            f"{type(self.error).__name__}: {self.text}" if self.text else type(self.error).__name__, keep="\\"
        )


def look(error: BaseException) -> Scene:
    """All that the error tells by itself."""
    scene = Scene(error, said(error))
    number = getattr(error, "errno", None)
    scene.number = number if isinstance(number, int) else None
    _from_message(scene)
    trace = _call.frames(error.__traceback__)
    scene.frames = [frame for frame, _ in trace]
    for frame, instruction in trace[:12]:
        call = _call.at(frame, instruction)
        inside = frame.f_globals.get("__name__", "").partition(".")[0] == "socklens"
        if call is not None:
            _from_call(scene, call)
            if not scene.written and not inside and _call.is_ours(call):
                scene.written, scene.named, scene.called = call.written, call.named, _call.public_name(call)
        scene.ours = scene.ours or inside or (call is not None and _call.is_ours(call))
    return scene


def said(error: BaseException) -> str:
    """Its message; whatever its class does when it is asked."""
    try:
        return str(error)[:2000]
    except Exception:
        return "(its message cannot be had)"


def worth_a_look(error: BaseException) -> bool:
    """Whether it comes from socklens: by its class, its message, or the line that failed. Asked of every error that a notebook shows."""
    if (
        type(error).__module__ == "socklens._errors"
        or getattr(error, "from_socklens", False) is True
        or _OURS.search(said(error))
    ):
        return True
    if not isinstance(error, (OSError, EOFError, TypeError, ValueError, OverflowError, RuntimeError, BufferError)):
        return False
    trace = _call.frames(error.__traceback__)
    if any(frame.f_globals.get("__name__", "").partition(".")[0] == "socklens" for frame, _ in trace):
        return True
    call = _call.at(*trace[0]) if trace else None
    return call is not None and _call.is_ours(call)


def ends_of(thing: object) -> Ends | None:
    """The endpoints of a connection, listener or standard socket; None if it has none (any more)."""
    try:
        if isinstance(thing, Connection):
            return (thing.local_addr, thing.peer_addr)
        if isinstance(thing, Listener):
            return (thing.local_addr, None)
        if isinstance(thing, socket.socket) and thing.family in (socket.AF_INET, socket.AF_INET6):
            local = Address(*thing.getsockname()[:2])
            try:
                return (local, Address(*thing.getpeername()[:2]))
            except OSError:
                return (local, None)
    except OSError:
        return None
    return None


def _from_message(scene: Scene) -> None:
    if found := _BETWEEN.search(scene.text):
        scene.doing = "connect"
        scene.source, scene.target = _address(found[1], found[2]), _address(found[3], found[4])
    elif found := _OPENING.search(scene.text):
        scene.doing = {"listen on": "listen", "connect from": "bind"}.get(found[1], "connect")
        scene.target = _address(found[2], found[3])
    elif found := _CONNECTION.search(scene.text):
        scene.doing = found[1] or ""
        local, peer = _address(found[2], found[3]), _address(found[4], found[5])
        scene.ends = (local, peer) if local else None
        scene.target = peer if scene.doing == "wait_connected" else None
    elif found := _LISTENER.search(scene.text):
        scene.doing, scene.target = found[1] or "", _address(found[2], found[3])
        scene.ends = (scene.target, None) if scene.target else None
    elif found := _ASYNCIO.search(scene.text):
        scene.doing = "connect" if found[1].startswith("Connect") else "listen"
        scene.target = _address(found[2], found[3])
    scene.ours = bool(_OURS.search(scene.text)) or getattr(scene.error, "from_socklens", False) is True


def _from_call(scene: Scene, call: _call.Call) -> None:
    name = _LIBRARY.get(call.name, call.name)
    known = isinstance(call.receiver, (Connection, Listener, socket.socket))
    if not known and name not in _WAYS:
        return
    if isinstance(call.receiver, (Connection, Listener)):
        scene.ours = True
    if known and scene.thing is None:
        scene.thing = call.receiver
        scene.ends = scene.ends or ends_of(call.receiver)
    if not scene.args:
        scene.args = call.args
    if not scene.doing and name in _WAYS:
        scene.doing = name
    if scene.target is None and name in ("connect", "bind", "listen", "create_server"):
        scene.target = endpoint(call.args)


def endpoint(args: tuple[object, ...]) -> Address | None:
    """The endpoint that is written as ``(host, port)``, ``host, port`` or an Address, if its host is an address."""
    parts: Any = args[0] if args and isinstance(args[0], tuple) else args
    match tuple(parts[:2]):
        case (str() as host, int() as port):
            return _address({"": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host), str(port))
    return None


def host_of(args: tuple[object, ...]) -> str | None:
    """The host that was asked for, as it was written."""
    first = args[0] if args else UNKNOWN
    if isinstance(first, tuple) and first:
        first = first[0]
    return first if isinstance(first, str) else None


def _address(host: str, port: str) -> Address | None:
    host = host.strip("[]")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return Address(host, int(port))
    return None
