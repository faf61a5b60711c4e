"""A student's handler, made fit for a Server: it gets the kind of connection that it is written for, and what it raises is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._errors import ClosedError
from .._socklens import Connection
from . import _memory
from ._ending import Ending
from ._lines import in_one_line, line_of, places_of
from ._target import Function


def as_handler(target: Function, tell: Callable[[Ending], None]) -> Any:
    """What a Server takes: the same function, told apart from the check only by what becomes of its exceptions."""
    function = target.function
    if not callable(function):  # one of those that run in Rust
        return function

    def arguments(conn: Connection) -> list[object]:
        peer = tuple(conn.peer_addr)  # asked before to_socket gives the connection away
        given: list[object] = [conn.to_socket() if target.arguments[0] == "sock" else conn]
        return [*given, peer] if "peer" in target.arguments else given

    if inspect.iscoroutinefunction(function):

        async def serve_in_a_task(conn: Connection) -> None:
            given = arguments(conn)
            try:
                await function(*given)
            except BaseException as error:
                _told(function, error, tell)
                raise
            finally:
                _closed(given)

        return serve_in_a_task

    def serve(conn: Connection) -> None:
        given = arguments(conn)
        try:
            function(*given)
        except BaseException as error:
            _told(function, error, tell)
            raise
        finally:
            _closed(given)

    return serve


def ending_of(function: Callable[..., object], error: BaseException) -> Ending:
    """How a call of the student's function ended."""
    line = line_of(function, places_of(error))
    if isinstance(error, SystemExit):
        status = error.code & 0xFF if isinstance(error.code, int) else 0 if error.code is None else 1
        return Ending(status=status, line=line, exit_called=True)
    said = in_one_line(error)
    if said == "MemoryError" and _memory.words():  # Python says no more
        said = f"MemoryError: {_memory.words()}"
    return Ending(error=said[:400], line=line)


def _told(function: Callable[..., object], error: BaseException, tell: Callable[[Ending], None]) -> None:
    _memory.let_go()
    try:
        if not isinstance(error, ClosedError):  # the check's own end
            tell(ending_of(function, error))
    finally:
        _memory.set_aside()


def _closed(given: list[object]) -> None:
    """A connection is closed by its server when the handler has ended; a socket of Python's is not the server's any more."""
    for one in given:
        if not isinstance(one, Connection) and hasattr(one, "close"):
            one.close()
