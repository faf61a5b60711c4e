"""Understands an endpoint as it is typed in a terminal, with one word or, as netcat has it, with two. Nothing is resolved
and no socket is touched here.
"""

from __future__ import annotations

from .. import Address
from .._socklens import _endpoint

_LOOPBACK = "127.0.0.1"
_EXAMPLE_PORT = 6666

FORMS = "HOST:PORT | HOST PORT | PORT"


def endpoint(word: str, port: str | None, command: str) -> tuple[str, int | None]:
    """The host, and the port if there is one: from HOST:PORT, HOST PORT, HOST, and PORT or :PORT on 127.0.0.1.

    Raises:
        ValueError, OverflowError: there is no such endpoint; the message says how `command` wants it.
    """
    if port is not None:
        return _endpoint(word, _port(port, command))
    if word.isdecimal() or (word.startswith(":") and not word.startswith("::")):
        return _endpoint(_LOOPBACK, _port(word.removeprefix(":"), command))
    return _endpoint(word, None)


def port_number(word: str | None) -> int | None:
    """The port that `socklens ports` is asked for, written 6666 or :6666; None if there is none.

    Raises:
        ValueError, OverflowError: there is no such port.
    """
    return None if word is None else _endpoint(_LOOPBACK, _port(word.removeprefix(":"), "ports"))[1]


def needs_port(host: str, command: str) -> ValueError:
    """The error for a host without a port, with the command as it should have been typed."""
    return ValueError(f"{command} needs a port beside the host: {_typed(command, host)}")


def _port(word: str, command: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f'the port "{word}" is not a number; write {_typed(command, _LOOPBACK)}') from None


def _typed(command: str, host: str) -> str:
    if command == "ports":
        return f"socklens ports {_EXAMPLE_PORT}"
    return f"socklens {command} {Address(host, _EXAMPLE_PORT)}"
