"""Calls that sleep in the kernel: a test goes on only when they do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from helpers import eventually


def asleep(thread_id: int) -> bool:
    """Whether a thread of this process sleeps in poll(2), as /proc tells it."""
    with open(f"/proc/self/task/{thread_id}/syscall") as file:
        number = file.read().split()[0]
    # poll or ppoll, on x86-64 and on the newer architectures.
    return number in {"7", "271", "73"}


@contextlib.contextmanager
def sleeping_call(call: Callable[[], object]) -> Iterator[Future[Any]]:
    """A call in a thread of its own, which has fallen asleep when the block begins."""
    future: Future[Any] = Future()
    ids: list[int] = []

    def run() -> None:
        ids.append(threading.get_native_id())
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: ids and (future.done() or asleep(ids[0])), what="a thread asleep in poll")
    try:
        yield future
    finally:
        thread.join(20)
        assert not thread.is_alive()
