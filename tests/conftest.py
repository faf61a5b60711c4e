"""Fixtures for every test, besides those of the pytest plugin. socklens is imported inside them, so that a test of the import itself
starts clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import helpers
import hypothesis
import pytest

# Named here for an installation from before its entry point, which finds it by this name too.
pytest_plugins = "socklens_pytest"

# The time that a socket takes is no property of the code: no deadline for one example.
hypothesis.settings.register_profile("sockets", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("sockets")

# A shell without job control starts what runs in its background with Ctrl-C ignored, and children inherit that. Here it is part
# of what is tested, whoever started the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Future[Any]]]:
    """`helpers.in_thread`, and when the test is over, every call must have come to an end."""
    started: list[Future[Any]] = []

    def start(call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        started.append(helpers.in_thread(call, *args, **kwargs))
        return started[-1]

    yield start
    helpers.eventually(lambda: all(future.done() for future in started), what="the end of every call in a thread")


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fails the test if a file descriptor or a thread that was not there before it is still there after it."""
    import socklens as sl

    # Each thread keeps one descriptor from its first wait on; this thread's is no leak of the test.
    with sl.listen() as listener, contextlib.suppress(TimeoutError):
        listener.accept(timeout=0.001)
    gc.collect()
    before = helpers.resources()
    yield

    def leaked() -> set[str]:
        gc.collect()
        return helpers.resources() - before

    # A thread may still be on its way out.
    with contextlib.suppress(AssertionError):
        helpers.eventually(lambda: not leaked(), timeout=2)
    assert not leaked(), "left over by the test"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in an event loop of its own: asyncio's, then uvloop's. What is not done after 30 s fails with TimeoutError."""
    module: Any = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    async def bounded(main: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(30):
            return await main

    def start(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=module.new_event_loop) as runner:
            return runner.run(bounded(main))

    return start
