"""Event loops: asyncio's own and uvloop's, each in a thread of its own. What they serve is not known here."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import threading
from asyncio import AbstractEventLoop, Server
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from servers import Missing

NewLoop = Callable[[], AbstractEventLoop]


def uvloop() -> NewLoop:
    """Makes uvloop's loops."""
    if importlib.util.find_spec("uvloop") is None:
        raise Missing("uvloop is not installed")
    new_loop: Any = importlib.import_module("uvloop").new_event_loop
    return new_loop  # type: ignore[no-any-return]


def serve(new_loop: NewLoop, listen: Callable[[], Coroutine[Any, Any, Server]]) -> int:
    """Runs what `listen` starts on a new loop for ever; gives the port."""
    port: Future[int] = Future()

    async def run() -> None:
        server = await listen()
        port.set_result(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    def thread() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run())

    threading.Thread(target=thread, daemon=True).start()
    return port.result(timeout=30)
