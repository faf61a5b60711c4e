"""Lines of 32 bytes that are already there: what reading lines costs, by iteration and by calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

import clients
from content import BATCH, LINES
from harness import Case, Comparison, Open, Round, Spent, Stopwatch, Where, check
from messages import calls, rounds, turns
from peers import REQUEST

# --- by iteration


@contextmanager
def _lens_lines(port: int, *, pauses: bool = True) -> Iterator[Round]:
    with clients.lens(port) as conn:
        lines = conn.lines()
        yield rounds(conn.sendall, lambda: [line for line in islice(lines, BATCH)], LINES, pauses=pauses)  # noqa: C416


@contextmanager
def _file_lines(port: int, *, pauses: bool = True) -> Iterator[Round]:
    with clients.plain(port) as sock, sock.makefile("rb") as lines:
        yield rounds(sock.sendall, lambda: [line for line in islice(lines, BATCH)], LINES, pauses=pauses)  # noqa: C416


# --- by calls


@contextmanager
def _lens_recv_line(port: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        yield rounds(conn.sendall, calls(conn.recv_line), LINES)


@contextmanager
def _lens_recv_until(port: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        recv_until = conn.recv_until
        yield rounds(conn.sendall, lambda: [recv_until(b"\n") for _ in turns()], LINES)


@contextmanager
def _file_readline(port: int) -> Iterator[Round]:
    with clients.plain(port) as sock, sock.makefile("rb") as file:
        yield rounds(sock.sendall, calls(file.readline), LINES)


@contextmanager
def _hand_line(port: int) -> Iterator[Round]:
    with clients.plain(port) as sock:
        yield rounds(sock.sendall, calls(clients.hand_line(sock)), LINES)


@contextmanager
def _stream_readline(port: int, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[Round]:
    with clients.streams(port, new_loop) as (loop, reader, writer):

        async def go(blocks: int) -> Spent:
            writer.write(blocks.to_bytes(REQUEST, "big"))
            watch = Stopwatch()
            for _ in range(blocks):
                for start in range(0, len(LINES), BATCH):
                    got = [await reader.readline() for _ in turns()]
                    watch.pause()
                    check(got, LINES[start : start + BATCH], "asyncio")
                    watch.resume()
            return watch.stop()

        yield lambda blocks: loop.run_until_complete(go(blocks))


@contextmanager
def _aio_lines(port: int, *, iterate: bool) -> Iterator[Round]:
    with clients.awaitable(port) as (loop, aio):
        lines = aio.lines()

        async def iterated() -> list[bytes]:
            got = []
            async for line in lines:
                got.append(line)
                if len(got) == BATCH:
                    break
            return got

        async def called() -> list[bytes]:
            return [await aio.recv_line() for _ in turns()]

        batch = iterated if iterate else called

        async def go(blocks: int) -> Spent:
            await aio.sendall(blocks.to_bytes(REQUEST, "big"))
            watch = Stopwatch()
            for _ in range(blocks):
                for start in range(0, len(LINES), BATCH):
                    got = await batch()
                    watch.pause()
                    check(got, LINES[start : start + BATCH], "aio")
                    watch.resume()
            return watch.stop()

        yield lambda blocks: loop.run_until_complete(go(blocks))
        loop.run_until_complete(lines.aclose())


# --- while another thread computes


@contextmanager
def _busy_interpreter() -> Iterator[None]:
    """Another thread computes in Python for as long as this lasts, and wants the interpreter all the time."""
    done = False

    def compute() -> None:
        number = 1
        while not done:
            number = (number * 31 + 7) % 1000003

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        done = True
        thread.join()


@contextmanager
def _while_busy(port: int, start: Open) -> Iterator[Round]:
    with start(port) as one:

        def go(blocks: int) -> Spent:
            with _busy_interpreter():
                return one(blocks)

        yield go


AIO, AIO_LINES = "await aio.recv_line()", "async for line in aio.lines()"
READLINE, HAND = "makefile readline()", "hand-written loop"

CASES = [
    Case(
        "32 B lines, iteration",
        "lines",
        Where.TWO_CORES,
        {"for line in conn.lines()": _lens_lines, "for line in makefile": _file_lines},
        [Comparison("for line in conn.lines()", "for line in makefile", faster_by=1.4)],
        operations=len(LINES),
    ),
    Case(
        "32 B lines, calls",
        "lines",
        Where.TWO_CORES,
        {
            "recv_line()": _lens_recv_line,
            'recv_until(b"\\n")': _lens_recv_until,
            READLINE: _file_readline,
            HAND: _hand_line,
            **(
                {AIO: partial(_aio_lines, iterate=False), AIO_LINES: partial(_aio_lines, iterate=True)}
                if clients.has_aio()
                else {}
            ),
            **{name: partial(_stream_readline, new_loop=new_loop) for name, new_loop in clients.event_loops().items()},
        },
        [
            Comparison(ours, theirs, faster_by=target)
            for ours in ("recv_line()", 'recv_until(b"\\n")')
            for theirs, target in ((READLINE, 1.2), (HAND, 5.5), ("asyncio streams", 8.0), ("uvloop streams", None))
        ]
        + [
            Comparison(ours, theirs, faster_by=target if theirs == "asyncio streams" else None)
            for ours, target in ((AIO_LINES, 3.0), (AIO, 1.5))
            for theirs in ("asyncio streams", "uvloop streams")
        ],
        operations=len(LINES),
    ),
    Case(
        "32 B lines, interpreter busy",
        "lines",
        Where.ANYWHERE,
        {
            "for line in conn.lines()": partial(_while_busy, start=partial(_lens_lines, pauses=False)),
            "for line in makefile": partial(_while_busy, start=partial(_file_lines, pauses=False)),
        },
        [Comparison("for line in conn.lines()", "for line in makefile", faster_by=8.0)],
        operations=len(LINES),
        # The interpreter changes hands every 5 ms (sys.getswitchinterval): a round must hold many turns.
        budget=0.25,
    ),
]
