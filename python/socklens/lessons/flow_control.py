"""The exercises of the notebook on buffers and flow control, and the two ends it plays with. Every check looks at real sockets,
takes a few seconds at most, and closes what it opened.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import socklens as sl

from .bounded import run, value_of, waiting_place
from .exercise import Exercise, NotAttempted, Wrong
from .prediction import Prediction

__all__ = ["account", "after_4_kib", "both_full", "fill", "patient", "settle", "stand", "unread"]

SECONDS = 3.0  # the longest that one call of a student's function may take
SMALL = 16384
KIB = 1024


def settle(writer: sl.Connection, reader: sl.Connection) -> None:
    """Let the reader's kernel acknowledge now what has arrived, and wait until both ends agree, for a second at most.

    A kernel may hold an ACK back for a moment (a delayed ACK, RFC 9293 section 3.8.6.3); until it comes, the same bytes are in both
    queues. TCP_QUICKACK (tcp(7)), where there is one, sends it at once.
    """
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if hasattr(socket, "TCP_QUICKACK"):
            reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        arrived = reader.totals.read - reader.totals.put_back + len(reader.input_buffer)
        if len(writer.output_buffer) == writer.totals.sent - arrived:
            return
        time.sleep(0.002)


def stand(writer: sl.Connection, reader: sl.Connection) -> None:
    """Print one line: where the bytes from the writer to the reader are, and the window that the reader's kernel offers."""
    settle(writer, reader)
    window = reader.info().rcv_wnd
    offered = "?" if window is None else f"{window:,}"
    print(
        f"sent {writer.totals.sent:>7,}   not sent yet {writer.output_buffer.unsent or 0:>7,}   "
        f"receive queue {reader.input_buffer.kernel:>7,}   window {offered:>7}   taken {reader.totals.read:>7,}"
    )


# ── Predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _unread(writer: sl.Connection, reader: sl.Connection) -> str:
    if len(reader.input_buffer):
        return "b"
    return "a" if len(writer.output_buffer) else "c"


unread = Prediction(
    "unread",
    question="The writer sends 1,024 bytes, and nobody reads. Where are they a moment later?",
    choices={
        "a": "in the writer's output buffer, until they are read",
        "b": "in the reader's receive queue, and no longer in the writer's output buffer",
        "c": "on the way",
    },
    observe=_unread,
    why="The reader's kernel has acknowledged them. It has, not the reader: acknowledged does not mean read.",
)


def _both_full(writer: sl.Connection) -> str:
    if writer.closed or writer.state != sl.TcpState.ESTABLISHED:
        return "c"
    return "a" if select.select([], [writer], [], 0)[1] else "b"


both_full = Prediction(
    "both_full",
    question="Nobody reads, and now the writer's output buffer is full, too. What does the next `send` do?",
    choices={
        "a": "it takes the bytes, and some are lost on the way",
        "b": "it waits for room, or raises an error if it may not wait",
        "c": "it ends the connection",
    },
    observe=_both_full,
    why="TCP loses nothing. The program that sends too fast is held up: back-pressure.",
)

after_4_kib = Prediction(
    "after_4_kib",
    question="The reader takes 4 KiB out of its full queue. Does its kernel open the window again at once?",
    choices={"a": "yes, by those 4 KiB", "b": "no, it stays closed"},
    observe=lambda reader: "b" if (reader.info().rcv_wnd or 0) < 4 * KIB // 2 else "a",
    why=(
        "It opens when a good part of the buffer is free: a window that opened for every few bytes would be filled with tiny segments "
        "(the silly window syndrome, RFC 9293 section 3.8.6.2)."
    ),
)


@contextmanager
def _ends() -> Iterator[tuple[sl.Connection, sl.Connection]]:
    with (
        sl.listen(recv_buffer=SMALL) as listener,
        sl.connect(listener.local_addr, send_buffer=SMALL, timeout=SECONDS) as writer,
        listener.accept(timeout=SECONDS) as reader,
    ):
        writer.nodelay = True
        writer.timeout = reader.timeout = None
        yield writer, reader


def _stuff(writer: sl.Connection) -> None:
    with suppress(BlockingIOError):
        while True:
            writer.send(bytes(KIB), timeout=0)


# ── fill: how many bytes go in while nobody reads? ────────────────────────────────────────────────────────────────────


def _judge_fill(function: object) -> str:
    called = _callable(function)
    with _ends() as (writer, reader):
        result = run(called, writer, seconds=SECONDS, release=writer.close)
        if result.hung:
            raise Wrong(
                f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}. Both buffers are full, and "
                "nobody reads: a `send` that waits will wait for ever. With `timeout=0` it never waits."
            )
        answer = value_of(result)
        if writer.closed:
            raise Wrong("Your function closed the connection. It only has to send.")
        sent = writer.totals.sent
        settle(writer, reader)
        if not isinstance(answer, int) or isinstance(answer, bool):
            raise Wrong(f"Your function returned {_kind(answer)}. Return the number of bytes, as an int.")
        if not writer.output_buffer.unsent:
            raise Wrong(
                f"You sent {sent:,} bytes, and more would go in: all of them have left the output buffer. Go on sending."
            )
        if answer != sent:
            raise Wrong(
                f"You returned {answer:,}, but the kernel took {sent:,} bytes. Add up what each `send` returns."
            )
        queue = len(reader.input_buffer)
    return f"{sent:,} bytes went in: {queue:,} into the reader's queue, {sent - queue:,} stayed in the writer's."


fill = Exercise(
    "fill",
    expects=("fill",),
    hint="`conn.send(data, timeout=0)` returns how many bytes the kernel took, and raises `BlockingIOError` when it takes none.",
    solution="""
def fill(conn):
    taken = 0
    while True:
        try:
            taken += conn.send(bytes(1024), timeout=0)
        except BlockingIOError:
            return taken
""",
    judge=_judge_fill,
)


# ── account: where is every byte? ─────────────────────────────────────────────────────────────────────────────────────


def _judge_account(function: object) -> str:
    called = _callable(function)
    with _ends() as (writer, reader):
        writer.sendall(b"a line\n")
        _stuff(writer)
        reader.recv_line(timeout=SECONDS)  # reads ahead: some bytes lie in Rust memory now
        reader.recv_exactly(100, timeout=SECONDS)
        _stuff(writer)
        settle(writer, reader)
        seen = sl.lens(writer, reader)
        law = seen.flows[0].law
        result = run(called, writer, reader, seconds=SECONDS, release=writer.close)
        if result.hung:
            raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
        answer = value_of(result)
        if writer.closed or reader.closed or reader.totals.read != law.taken or writer.totals.sent != law.sent:
            raise Wrong("Your function sent, read or closed something. To look is enough.")
        if not isinstance(answer, tuple) or len(answer) != 3:
            raise Wrong(
                f"Your function returned {_kind(answer)}. Return three numbers: `taken, buffered, outstanding`."
            )
        if any(part is ... for part in answer):
            raise NotAttempted
        expected = (law.taken or 0, (law.memory or 0) + (law.queue or 0), law.outstanding or 0)
        for name, got, right in zip(("taken", "buffered", "outstanding"), answer, expected, strict=True):
            if got != right:
                raise Wrong(_off(name, got, right, law.queue, law.sent or 0))
    return f"{law.sent:,} sent = {expected[0]:,} taken + {expected[1]:,} buffered + {expected[2]:,} outstanding."


def _off(name: str, got: object, right: int, queue: int | None, sent: int) -> str:
    text = f"`{name}` is {got!r}, but it should be {right:,}; in all, {sent:,} bytes were sent."
    if name == "buffered" and got == queue:
        return f"{text} You left out what lies in the reader's Rust memory: `len(reader.input_buffer)` is both."
    if name == "taken":
        return f"{text} `reader.totals.read` counts what its program has."
    return text


account = Exercise(
    "account",
    expects=("account",),
    hint="`reader.totals.read`, `len(reader.input_buffer)` and `len(writer.output_buffer)`: what does each of them count?",
    solution="""
def account(writer, reader):
    taken = reader.totals.read              # the program has them
    buffered = len(reader.input_buffer)     # they have arrived: the kernel's queue and Rust memory
    outstanding = len(writer.output_buffer) # not acknowledged: not sent yet, or on the way
    return taken, buffered, outstanding
""",
    judge=_judge_account,
)


# ── patient: send everything to a slow reader, without ever waiting in send ───────────────────────────────────────────


def _judge_patient(function: object) -> str:
    called = _callable(function)
    data = b"".join(b"%07d\n" % number for number in range(16384))
    with _ends() as (writer, reader):
        came: list[bytes] = []
        pauses = 0

        def pause() -> None:
            """The reader reads a little."""
            nonlocal pauses
            pauses += 1
            with suppress(TimeoutError):
                came.append(reader.recv(8 * KIB, timeout=0.05))

        result = run(called, writer, data, pause, seconds=2 * SECONDS, release=writer.close)
        if result.hung:
            raise Wrong(
                f"Your function had not returned after {2 * SECONDS:g} seconds{waiting_place(result)}; it had called `pause()` "
                f"{pauses} times. While it waits or repeats `send`, nobody reads: only `pause()` lets the reader read."
            )
        value_of(result)
        if writer.closed:
            raise Wrong("Your function closed the connection. It only has to send.")
        writer.shutdown("send")
        came.append(reader.recv_all(timeout=SECONDS))
        _compare(b"".join(came), data)
    return f"All {len(data):,} bytes came, in order, and your function paused {pauses} times for the reader."


def _compare(came: bytes, data: bytes) -> None:
    if came == data:
        return
    same = next((i for i, (a, b) in enumerate(zip(came, data, strict=False)) if a != b), min(len(came), len(data)))
    if same == len(came):
        raise Wrong(f"Only the first {same:,} of {len(data):,} bytes came. Go on until all of them are sent.")
    raise Wrong(
        f"The first {same:,} bytes are right, then the stream goes wrong. `send` may take only a part of what it is given: the "
        "next `send` begins with the first byte that was not taken."
    )


patient = Exercise(
    "patient",
    expects=("patient",),
    hint="Keep what is left: `data = data[taken:]` after each `send`; when `send` takes nothing, `pause()` and try again.",
    solution="""
def patient(conn, data, pause):
    while data:
        try:
            taken = conn.send(data, timeout=0)
            data = data[taken:]
        except BlockingIOError:
            pause()
""",
    judge=_judge_patient,
)


def _callable(answer: object) -> Callable[..., object]:
    if not callable(answer):
        raise Wrong(f"Give the function itself, without calling it; this is {_kind(answer)}.")
    return answer


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"
