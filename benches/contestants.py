"""Servers as processes: each on the server's core, awake only while it is asked, ended with its standard input."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import computing
import native
from harness import pinned


class Contestant(NamedTuple):
    """Who serves, and what: the words for `serve.py`, or for the bare server."""

    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.who} {self.what}"


BARE = "bare epoll"
# Seconds: ten thousand threads take their time to end.
ENDING = 120.0


class Absent(Exception):
    """A contestant cannot be measured here; the text says what is missing."""


@dataclass(frozen=True)
class Running:
    """A server that is up, and the cell that computes beside or inside it, if the case has one."""

    process: subprocess.Popen[str]
    port: int
    counter: Path | None = None

    def ask(self, line: str) -> str:
        """Sends the server a line on its standard input and gives its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Lets the cell compute, if there is one: only during this server's turn."""
        if self.counter is None:
            yield
            return
        numbers = computing.cells(self.counter)
        numbers[computing.GO] = 1
        try:
            yield
        finally:
            numbers[computing.GO] = 0


@contextmanager
def _process(command: list[str | Path], what: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program that ends with its standard input, and the first line that it prints; its failure is ours."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        yield process, first
        assert process.stdin is not None
        process.stdin.close()
        if process.wait(timeout=ENDING) != 0:
            raise RuntimeError(f"{what} ended with status {process.returncode}")


@contextmanager
def running(contestant: Contestant, core: int | None, *, busy: bool = False) -> Iterator[Running]:
    """A contestant on this core. `busy` gives it a cell that computes.

    The cell of the bare server, which has no interpreter, computes in a process of its own on the same core: as much work for
    the system's scheduler, and no interpreter to be shared.
    """
    with ExitStack() as stack:
        counter = _counter(stack) if busy else None
        with pinned(core):
            if contestant.who == BARE:
                command: list[str | Path] = [native.build() / "bare", contestant.what]
                if counter is not None:
                    beside: list[str | Path] = [sys.executable, computing.__file__, counter]
                    stack.enter_context(_process(beside, "the cell"))
            else:
                command = [sys.executable, native.HERE / "serve.py", *contestant, *([counter] if counter else [])]
            process, first = stack.enter_context(_process(command, str(contestant)))
        if first.startswith("missing: "):
            raise Absent(first.removeprefix("missing: "))
        if not first:
            raise RuntimeError(f"{contestant} did not start")
        yield Running(process, int(first), counter)


def _counter(stack: ExitStack) -> Path:
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="socklens-bench-")), "counter")
    path.write_bytes(bytes(computing.SIZE))
    return path
