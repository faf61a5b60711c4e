"""What tests share. Only `eventually` sleeps, and every wait in here ends by a deadline."""

import contextlib
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NoReturn, ParamSpec, TypeVar

import pytest

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Runs the call in a thread of its own. `.result(timeout)` gives what it returned, or raises what it raised."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=f"in_thread({getattr(call, '__name__', call)})", daemon=True).start()
    return future


def eventually(condition: Callable[[], T], timeout: float = 10, what: str = "what was waited for") -> T:
    """Asks again and again until the condition gives something true, and returns that; fails after `timeout` seconds.

    For what the kernel does in its own time: a segment that arrives, a state that changes, a port that becomes free.
    """
    deadline = time.monotonic() + timeout
    pause = 0.0001
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {timeout} s; the last answer was {answer!r}")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
    return answer


def need(program: str) -> str:
    """The path of a foreign program that serves as an oracle or a peer."""
    return shutil.which(program) or lacking(f"{program} is not installed")


def lacking(what: str) -> NoReturn:
    """Skips the test because of what this machine lacks; where CI is set that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI leaves nothing out")
    pytest.skip(what)


def resources() -> set[str]:
    """The open file descriptors and running threads of this process, each described; only Python's threads without /proc."""
    python = {thread.native_id: thread.name for thread in threading.enumerate()}
    if not sys.platform.startswith("linux"):
        return {f"thread {number} ({name})" for number, name in python.items()}
    # Among the tasks are the threads that Rust started, which `threading` does not know.
    tasks = {f"thread {task} ({python.get(int(task), 'not of Python')})" for task in os.listdir("/proc/self/task")}
    return tasks | set(descriptors())


def descriptors() -> Iterator[str]:
    """What each open file descriptor is, as /proc tells it."""
    for number in os.listdir("/proc/self/fd"):
        # The one that listed the directory is closed by now.
        with contextlib.suppress(FileNotFoundError):
            yield f"descriptor {number} ({os.readlink(f'/proc/self/fd/{number}')})"


@contextlib.contextmanager
def seeded(seed: int | None = None) -> Iterator[int]:
    """A seed for a random workload, another one each time if none is given; a failure tells it."""
    chosen = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    try:
        yield chosen
    except BaseException as error:
        error.add_note(f"the seed was {chosen}")
        raise
