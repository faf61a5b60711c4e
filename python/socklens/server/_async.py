"""`async def` handlers: one thread with an event loop of its own, and a task for each client. The handler gets the connection itself, and
awaits it by `conn.aio`.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import ClosedError
from .._socklens import Connection, Listener, _serve_in_tasks
from ._backoff import Backoff
from ._clients import Clients
from ._idle import Sweeper
from ._records import STOPPED, Dropped, Ledger
from ._roster import Client

if TYPE_CHECKING:
    from typing_extensions import Buffer

LAST_WORDS = 0.5
"""Seconds that a handler has to end once its connection is closed."""

TO_NOTICE = 0.1
"""Seconds after which one that does not wait for its connection is cancelled."""

_T = TypeVar("_T")


class Async:
    """The engine of the mode "async"."""

    def __init__(
        self,
        handler: Callable[[Connection], Awaitable[object]],
        ledger: Ledger,
        max_clients: int | None,
        idle_timeout: float | None,
    ) -> None:
        self._handler = handler
        self._ledger = ledger
        self._clients = Clients(ledger, max_clients, self._end)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sweeper = None if idle_timeout is None else Sweeper(self._clients, idle_timeout)
        self._stopping = False

    def start(self, listener: Listener) -> None:
        """Returns when the loop runs; raises what keeps it from that."""
        self._listener = listener
        ready: Future[None] = Future()
        # ipykernel finds the cell that a print belongs to by the context it runs in; tasks inherit it.
        run = contextvars.copy_context().run
        name = f"socklens: server on {listener.local_addr}"
        self._thread = threading.Thread(target=run, args=(self._run, ready), name=name, daemon=True)
        self._thread.start()
        ready.result()
        if self._sweeper is not None:
            self._sweeper.start()

    def _run(self, ready: Future[None]) -> None:
        _serve_in_tasks()  # a handler that forgets its await is told so, instead of keeping everybody waiting
        try:
            asyncio.run(self._main(ready))
        except BaseException as error:
            if ready.done():
                self._ledger.trouble(error)
            else:
                ready.set_exception(error)

    async def _main(self, ready: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_trouble)
        self._over = asyncio.Event()
        self._accepting = asyncio.create_task(self._accept_all())
        ready.set_result(None)
        await self._over.wait()

    def _on_trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Of the handlers' own tasks and callbacks: asyncio would print it."""
        self._ledger.failed(None, context.get("exception") or RuntimeError(context["message"]))

    # On the loop

    async def _accept_all(self) -> None:
        backoff = Backoff()
        while True:
            try:
                conn = await self._listener.aio.accept(timeout=None)  # type: ignore[attr-defined, unused-ignore]
            except ClosedError as error:
                if not self._stopping:
                    self._ledger.trouble(error)
                return
            except (OSError, MemoryError) as error:
                self._ledger.trouble(error)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            client = self._clients.admit(conn)
            if client is not None:
                self._tasks[client.number] = asyncio.create_task(self._serve(client))
            await asyncio.sleep(0)  # an accept that succeeds at once gives nobody a turn

    async def _serve(self, client: Client) -> None:
        result: object = None
        raised: BaseException | None = None
        try:
            result = await self._handler(client.conn)
        except asyncio.CancelledError as error:
            raised = None if client.reason is not None else error
        except BaseException as error:
            raised = error
        try:
            self._clients.leave(client, result, raised)
        finally:
            del raised  # or its traceback and this frame would keep each other
            self._tasks.pop(client.number, None)

    async def _finish(self, timeout: float) -> list[Dropped]:
        """Lets the tasks finish, and then drops the rest."""
        await self._settle(timeout)
        left = [(client, *self._clients.mark(client, STOPPED)) for client in self._clients.snapshot()]
        for client, _, _ in left:
            self._let_go(client)
        await self._settle(LAST_WORDS)
        dropped = self._clients.rest(left)
        self._over.set()
        return dropped

    async def _settle(self, timeout: float) -> None:
        if tasks := list(self._tasks.values()):
            await asyncio.wait(tasks, timeout=timeout)

    async def _close_listener(self) -> None:
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._listener.close()

    def _let_go(self, client: Client) -> None:
        """On the loop, so that its selector does not meet a descriptor that is another's by now."""
        client.conn.close()
        task = self._tasks.get(client.number)
        if task is not None:
            self._loop.call_later(TO_NOTICE, task.cancel)

    # From anywhere

    def stop(self, timeout: float) -> list[Dropped]:
        """As `Engine.stop`. A handler that holds up the loop is not waited for either."""
        self._stopping = True
        try:
            self._ask(self._close_listener(), LAST_WORDS)
            self._listener.close()
            dropped = self._ask(self._finish(timeout), timeout + LAST_WORDS)
        except BaseException:  # Ctrl-C: ends the patience, and not the stop
            self._give_up()
            raise
        finally:
            if self._sweeper is not None:
                self._sweeper.stop()
            self._clients.close()
        if dropped is None:
            dropped = self._give_up()
        self._thread.join(LAST_WORDS)
        return dropped

    def _ask(self, work: Coroutine[Any, Any, _T], patience: float) -> _T | None:
        """What the loop answers; None if it does not within `patience` and a little more, since a handler holds it up."""
        if self._loop.is_closed():  # a handler has stopped it
            work.close()
            return None
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience + LAST_WORDS)
        except (TimeoutError, CancelledError):
            return None

    def _give_up(self) -> list[Dropped]:
        """Closes everything from here. Whoever has not ended is going on."""
        self._listener.close()
        left = [(client, *self._clients.mark(client, STOPPED)) for client in self._clients.snapshot()]
        for client, _, _ in left:
            client.conn.close()
        return self._clients.rest(left)

    def _end(self, client: Client) -> None:
        self._loop.call_soon_threadsafe(self._let_go, client)

    def clients(self) -> list[Client]:
        """As `Engine.clients`."""
        return self._clients.snapshot()

    def broadcast(self, data: Buffer, but: Connection | None) -> int:
        """As `Engine.broadcast`."""
        return self._clients.broadcast(data, but)

    def kick(self, client: Client, reason: str) -> Dropped:
        """As `Engine.kick`."""
        return self._clients.drop(client, reason)

    def catch_up(self) -> None:
        """The ledger is written as things happen."""

    def is_mine(self) -> bool:
        """As `Engine.is_mine`."""
        return threading.current_thread() is self._thread

    def check_stop(self) -> None:
        """As `Engine.check_stop`."""
        if self.is_mine():
            raise RuntimeError(
                "stop() waits for the handlers, and this one holds up their event loop: write await asyncio.to_thread(server.stop)"
            )
