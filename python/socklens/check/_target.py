"""What a check is pointed at: an address, a function or a command, told apart here. Nothing is started, and no function is called."""

from __future__ import annotations

import inspect
import ipaddress
import os
import re
import shlex
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from .. import _socklens
from .._address import Address
from .._socklens import _endpoint

if TYPE_CHECKING:
    from .._socklens import Listener
    from ..server import Server
    from ..server._reactor import RustHandler

Kind: TypeAlias = Literal["program", "handler", "socket handler"]
"""How a function is used: it listens by itself, or it is called with a client's connection, ours or one of the module `socket`."""

Target: TypeAlias = (  # no expression at run time: what it names is not imported then
    "Address | tuple[str, int] | str | Sequence[str | os.PathLike[str]] | Callable[..., object]"
    " | Server | Listener | RustHandler"
)
"""What a check takes: see `socklens.check`."""

LOOPBACK = "127.0.0.1"
_IS_HERE = re.compile(r"localhost|[\d.]+|[\da-fA-F]*:[\da-fA-F:.%\w]*")
"""A name that is this machine's, or a number: no other name is looked up."""
_KINDS = get_args(Kind)
_ENDPOINT = re.compile(r"\[?[\w.:%-]+\]?:\d+")
_IN_RUST = ("Echo", "LineEcho", "Chat", "Discard", "Daytime", "OnMessage")
# How people call a port, an address and a connection; the rest of a name does not matter: server_port, clientsocket.
_PORT, _ENDPOINT_NAME = re.compile(r"(?i)port|^p$"), re.compile(r"(?i)addr|endpoint|^where$")
_HOST, _CONNECTION = re.compile(r"(?i)host|addr|^ip$|interface"), re.compile(r"(?i)conn|sock|client|^c$|^s$|peer")


@dataclass(frozen=True)
class Running:
    """Something that listens already."""

    address: Address
    name: str


@dataclass(frozen=True)
class Command:
    """A program to start."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is written in a terminal."""
        return shlex.join(self.words)

    def filled(self, address: Address) -> list[str]:
        """With the host and the port where they belong."""
        return [word.replace("{host}", address.host).replace("{port}", str(address.port)) for word in self.words]


@dataclass(frozen=True)
class Function:
    """A Python function, and how it is called: `arguments` are of "conn", "sock", "peer", "host", "port", "address"."""

    function: Any
    kind: Kind
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, as its author calls it."""
        function = self.function
        while (inner := getattr(function, "func", None)) is not None:  # functools.partial
            function = inner
        return str(getattr(function, "__name__", type(function).__name__))


Read: TypeAlias = Running | Command | Function


def read(target: object, kind: str | None = None) -> Read:
    """What the target is.

    Raises:
        TypeError: it can be no target, or a function takes what a check does not give.
        ValueError: there is no such kind; a command without ``{port}``; an address of another machine.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"there is no kind {kind!r}: choose {', '.join(map(repr, _KINDS))}, or leave it out")
    found: Running | Command | None = _running(target)
    if found is None and isinstance(target, str):
        found = _running_at(target) if _ENDPOINT.fullmatch(target) else _command(shlex.split(target), target)
    if found is None and isinstance(target, list | tuple):
        found = _command([_word(word) for word in target], target)
    if found is not None:
        if kind is not None:
            raise ValueError(f"kind={kind!r} is for functions; {found.name} is none: leave it out")
        return found
    return _function(target, kind)


# -- what runs, and what is to be started


def _running(target: Any) -> Running | None:
    if isinstance(target, Address) or (
        isinstance(target, tuple) and len(target) in (2, 4) and isinstance(target[1], int)
    ):
        return _running_at(target)
    if isinstance(target, _socklens.Listener):
        return _running_at(target.local_addr)
    if hasattr(target, "handler_name") and hasattr(target, "running"):  # a Server, which is not imported for this
        if not target.running:
            raise ValueError(
                f"this server ({target.handler_name}) does not run: start() it first, or give its handler, which the check "
                "serves itself"
            )
        return _running_at(target.local_addr)
    return None


def _running_at(target: Any) -> Running:
    host, port = _endpoint(target, None)
    if not port:
        raise ValueError(f"{target!r} names no port: a program that runs is known by its host and its port")
    if not _IS_HERE.fullmatch(host):
        raise _elsewhere(host)
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    there = str(infos[0][4][0])
    if not ipaddress.ip_address(there.partition("%")[0]).is_loopback:
        raise _elsewhere(host if host == there else f"{host} ({there})")
    return Running(Address(there, port), str(Address(host, port)))


def _elsewhere(host: str) -> ValueError:
    return ValueError(
        f"{host} is not this machine's loopback: a check sends resets and floods, and only to programs of this machine. "
        f"Start the program here, and give localhost, {LOOPBACK} or ::1"
    )


def _word(word: object) -> str:
    if isinstance(word, str):
        return word
    if isinstance(word, os.PathLike):
        return os.fsdecode(word)
    raise TypeError(
        f"a command is a list of words, as in ['python3', 'server.py', '{{port}}'], and {word!r} ({type(word).__name__}) is none; an "
        "address is (host, port) with a number"
    )


def _command(words: Sequence[str], told: object) -> Command:
    if not words:
        raise ValueError(f"{told!r} is an empty command")
    if not any("{port}" in word for word in words):
        raise ValueError(
            f"the command {shlex.join(words)!r} never gets a port: write {{port}} where it belongs, as in 'python3 server.py {{port}}' "
            "(and {host}, if it takes one). A program that runs already is given by its address, as in '127.0.0.1:6666'"
        )
    return Command(tuple(words))


# -- functions


def _function(target: object, kind: str | None) -> Function:
    for name in _IN_RUST:
        of = getattr(_socklens, name)
        if isinstance(target, of):
            return Function(target, "handler", ("conn",))
        if target is of:
            raise TypeError(f"sl.{name} is a class; write sl.{name}()")
    if not callable(target):
        raise TypeError(
            f"a check takes a function (without calling it), a command with {{port}}, or the address of a program that runs; "
            f"this is {target!r} ({type(target).__name__})"
        )
    parameters = _parameters(target)
    if kind is None:
        kind = _guessed(target, parameters)
    return Function(target, kind, _arguments(target, kind, parameters))  # type: ignore[arg-type]


def _parameters(target: Callable[..., object]) -> list[inspect.Parameter]:
    """Those that it has to be given by place."""
    try:
        signature = inspect.signature(target)
    except ValueError:  # written in C, and it does not tell
        return []
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in signature.parameters.values() if one.kind in places and one.default is one.empty] or [
        one for one in signature.parameters.values() if one.kind in places
    ]


def _guessed(target: Callable[..., object], parameters: list[inspect.Parameter]) -> str:
    names = [one.name for one in parameters]
    if not names or len(names) > 2:
        raise TypeError(
            f"{_call(target, names)}: a check does not know what to give it. A program takes (port) or (host, port) and listens by itself; "
            'a handler takes (conn) and serves one client. If it is one of these under another name, say kind="program" or kind="handler"'
        )
    if len(names) == 2 and not _CONNECTION.search(names[0]):
        return "program"
    if len(names) == 1 and (_PORT.search(names[0]) or _ENDPOINT_NAME.search(names[0]) or _is(parameters[0], int)):
        return "program"
    if len(names) == 2 and not _HOST.search(names[1]):
        raise TypeError(
            f"{_call(target, names)}: a handler takes (conn) or (conn, addr), a program (host, port); say which with kind="
        )
    return "socket handler" if _is(parameters[0], socket.socket) else "handler"


def _is(parameter: inspect.Parameter, kind: type) -> bool:
    """Whether the parameter's annotation is this class; written as text, too."""
    told = parameter.annotation
    return told is kind or (isinstance(told, str) and told in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}"))


def _arguments(target: Callable[..., object], kind: str, parameters: list[inspect.Parameter]) -> tuple[str, ...]:
    names = [one.name for one in parameters]
    if kind == "program":
        if len(names) == 1:
            return ("address",) if _ENDPOINT_NAME.search(names[0]) else ("port",)
        if len(names) == 2:
            return ("port", "host") if _PORT.search(names[0]) and not _PORT.search(names[1]) else ("host", "port")
        if not names and _is_open(target):
            return ("host", "port")
        raise TypeError(
            f"{_call(target, names)}: a program takes (port) or (host, port), so that the check can choose a free port"
        )
    first = "conn" if kind == "handler" else "sock"
    if len(names) == 1 or (not names and _is_open(target)):
        return (first,)
    if len(names) == 2:
        return (first, "peer")
    raise TypeError(f"{_call(target, names)}: a handler takes (conn) or (conn, addr)")


def _is_open(target: Callable[..., object]) -> bool:
    """Whether it takes anything, or does not tell what."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:
        return True
    return any(one.kind is one.VAR_POSITIONAL for one in parameters)


def _call(target: object, names: list[str]) -> str:
    return f"{getattr(target, '__name__', type(target).__name__)}({', '.join(names)})"
