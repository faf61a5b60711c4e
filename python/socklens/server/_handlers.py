"""What can be a handler, and which mode it is for. Looks at the handler before there is a client, and never calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from .. import _socklens
from .._socklens import Connection
from ._engine import Engine
from ._records import Ledger

if TYPE_CHECKING:
    from ._reactor import RustHandler

Mode: TypeAlias = Literal["threads", "one", "async"]

_MODES = ("threads", "one", "async")
_IN_RUST = ("Echo", "LineEcho", "Chat", "Discard", "Daytime", "OnMessage")


class Plan:
    """How a handler will be served: found out once, when the server is made."""

    def __init__(self, handler: object, mode: str | None, max_clients: int | None, idle_timeout: float | None) -> None:
        self._handler = handler
        self._limits = (_count(max_clients), _seconds(idle_timeout))
        self.mode = _mode(handler, mode)
        self.name = _name(handler)

    def engine(self, ledger: Ledger) -> Engine:
        """A new engine, for one start."""
        if self.mode in ("rust", "on message"):
            from ._reactor import Reactor

            return Reactor(cast("RustHandler", self._handler), ledger, *self._limits, on_message=self.mode != "rust")
        handler = cast(Callable[[Connection], Any], self._handler)
        if self.mode == "async":
            from ._async import Async

            return Async(handler, ledger, *self._limits)
        from ._threads import Threads

        return Threads(handler, ledger, *self._limits, one=self.mode == "one")


def _mode(handler: object, mode: str | None) -> str:
    if mode is not None and mode not in _MODES:
        raise ValueError(f"there is no mode {mode!r}: choose {_listed(_MODES)}, or leave it out")
    kind = _of_rust(handler)
    if kind is not None:
        if mode is not None:
            raise ValueError(f"{kind} has no mode: it runs in Rust, for all clients at once. Leave out mode={mode!r}")
        if kind != "OnMessage":
            return "rust"
        _check_callback(getattr(handler, "callback", None))
        return "on message"
    _check_callable(handler)
    if _is_async(handler):
        if mode in ("threads", "one"):
            raise TypeError(
                f"mode={mode!r} calls a plain function, and {_name(handler)} is an async def: write def, with conn.recv() "
                'in place of await conn.aio.recv(), or choose mode="async"'
            )
        return "async"
    if mode == "async":
        raise TypeError(
            f'mode="async" needs an async def, and {_name(handler)} is a plain function, which would hold up all clients: write '
            f'async def {_name(handler)}(conn), with await conn.aio.recv() in place of conn.recv(), or choose mode="threads"'
        )
    return mode or "threads"


def _of_rust(handler: object) -> str | None:
    """The name of the handler's kind, if it is one of those that run in Rust."""
    kinds = {name: kind for name in _IN_RUST if (kind := getattr(_socklens, name, None)) is not None}
    for name, kind in kinds.items():
        if handler is kind:
            example = "callback" if name == "OnMessage" else ""
            raise TypeError(f"sl.{name} is a class; a handler is made from it: write sl.{name}({example})")
        if isinstance(handler, kind):
            return name
    return None


def _check_callable(handler: object) -> None:
    if not callable(handler):
        hint = (
            "; write the function's name without calling it" if handler is None or inspect.iscoroutine(handler) else ""
        )
        if inspect.iscoroutine(handler):
            handler.close()
        raise TypeError(
            f"a handler is a function that is called with each client's connection, or one of socklens' own such as sl.Echo(); "
            f"{type(handler).__name__} is neither{hint}"
        )
    try:
        signature = inspect.signature(handler)
    except ValueError:  # written in C, and it does not tell
        return
    try:
        signature.bind(None)
    except TypeError as why:
        raise TypeError(
            f"a handler is called with one argument, the connection, as in def handler(conn): …; {_name(handler)}{signature} "
            f"cannot be: {why}"
        ) from None


def _check_callback(callback: object) -> None:
    """Of an `OnMessage`, whose callback would otherwise fail at the first message."""
    if not callable(callback):
        return
    if _is_async(callback):
        raise TypeError(
            f"OnMessage calls a plain function for each message, and {_name(callback)} is an async def: write "
            f"def {_name(callback)}(conn, message): …"
        )
    of = getattr(callback, "__objclass__", None)  # of a method written in C, which may not tell its signature
    if isinstance(of, type) and not issubclass(Connection, of):
        raise TypeError(
            f"OnMessage calls its function with two arguments, the connection and the message, and {of.__name__}.{_name(callback)} is a "
            f"method of {of.__name__}: write lambda conn, message: message.{_name(callback)}()"
        )
    try:
        signature = inspect.signature(callback)
    except ValueError:
        return
    try:
        signature.bind(None, b"")
    except TypeError as why:
        raise TypeError(
            "OnMessage calls its function with two arguments, the connection and the message, as in def answer(conn, message): …; "
            f"{_name(callback)}{signature} cannot be: {why}"
        ) from None


def _is_async(handler: object) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(type(handler), "__call__", None))  # noqa: B004


def _name(handler: object) -> str:
    if isinstance(called := getattr(handler, "func", None), Callable):  # type: ignore[arg-type]  # functools.partial
        return _name(called)
    if _of_rust(handler) == "OnMessage" and (callback := getattr(handler, "callback", None)) is not None:
        return f"OnMessage({_name(callback)})"
    return str(getattr(handler, "__name__", type(handler).__name__))


def _count(max_clients: int | None) -> int | None:
    if max_clients is None:
        return None
    if isinstance(max_clients, bool) or not isinstance(max_clients, int):
        raise TypeError(f"max_clients is a number of clients or None, not {type(max_clients).__name__}")
    if max_clients < 1:
        raise ValueError(
            f"max_clients is at least 1, not {max_clients}: a server that lets nobody in is one that is not started"
        )
    return max_clients


def _seconds(idle_timeout: float | None) -> float | None:
    if idle_timeout is None:
        return None
    if isinstance(idle_timeout, bool) or not isinstance(idle_timeout, int | float):
        raise TypeError(f"idle_timeout is a number of seconds or None, not {type(idle_timeout).__name__}")
    if not 0 < idle_timeout < float("inf"):
        raise ValueError(f"idle_timeout is more than 0 seconds, not {idle_timeout}: None, the default, waits for ever")
    return float(idle_timeout)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f'"{word}"' for word in words[:-1]) + f' or "{words[-1]}"'
