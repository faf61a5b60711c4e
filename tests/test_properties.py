"""The promise: however a stream is cut on its way, it gives the same frames; and no byte is lost, doubled or moved,
whatever is called and whatever fails: sent == read + in Rust memory + in the kernel's queue + outstanding beyond
them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import socklens as sl
from flow import SMALL, arrived, ends, settle, stream
from helpers import eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sleeping import sleeping_call
from test_waiting import linux

Pair = tuple[sl.Connection, sl.Connection]
WAITED = (BlockingIOError, TimeoutError)
# Together a few seconds.
FEW = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


class Outcome(NamedTuple):
    """What a framing read gave, and how many bytes left the buffer with it."""

    what: bytes | str
    taken: int


class Frame(NamedTuple):
    """A framing read, and the same in a few lines of Python that see the whole stream at once."""

    name: str
    read: Callable[[sl.Connection, float], bytes]
    model: Callable[[bytes], Outcome]


def separated(sep: bytes, limit: int, keep: bool, line: bool) -> Frame:
    def read(conn: sl.Connection, timeout: float) -> bytes:
        if line:
            return conn.recv_line(max_bytes=limit, keep_end=keep, timeout=timeout)
        return conn.recv_until(sep, max_bytes=limit, keep_end=keep, timeout=timeout)

    def model(rest: bytes) -> Outcome:
        head, found, _ = rest[:limit].partition(sep)
        if found:
            shown = head + sep if keep else head.removesuffix(b"\r") if line else head
            return Outcome(shown, len(head + sep))
        if len(rest) >= limit:
            return Outcome("too long", 0)
        return Outcome("cut off" if rest or not keep else b"", 0)

    return Frame(f"{'line' if line else sep!r} <= {limit}, keep={keep}", read, model)


def exactly(size: int) -> Frame:
    def model(rest: bytes) -> Outcome:
        return Outcome(rest[:size], size) if len(rest) >= size else Outcome("cut off", 0)

    return Frame(f"exactly {size}", lambda conn, timeout: conn.recv_exactly(size, timeout=timeout), model)


def prefixed(prefix: int, byteorder: Any, limit: int) -> Frame:
    def read(conn: sl.Connection, timeout: float) -> bytes:
        return conn.recv_frame(prefix, byteorder=byteorder, max_bytes=limit, timeout=timeout)

    def model(rest: bytes) -> Outcome:
        size = int.from_bytes(rest[:prefix], byteorder)
        if len(rest) < prefix or (size <= limit and len(rest) < prefix + size):
            return Outcome("cut off", 0)
        return Outcome(rest[prefix : prefix + size], prefix + size) if size <= limit else Outcome("too long", 0)

    return Frame(f"frame {prefix} {byteorder} <= {limit}", read, model)


def outcome(frame: Frame, conn: sl.Connection, timeout: float) -> bytes | str:
    try:
        return frame.read(conn, timeout)
    except sl.FrameTooLongError:
        return "too long"
    except sl.IncompleteReadError as error:
        return "cut off" if error.partial == bytes(conn.input_buffer) else "bytes were lost"


limits = st.integers(4, 40) | st.just(1000)
frames = st.one_of(
    st.builds(separated, st.just(b"\n"), limits, st.booleans(), st.just(True)),
    st.builds(separated, st.sampled_from([b"\n", b"\r\n", b"aab", b"\0"]), limits, st.booleans(), st.just(False)),
    st.builds(exactly, st.integers(0, 60)),
    st.builds(prefixed, st.sampled_from([1, 2, 4, 8]), st.sampled_from(["big", "little"]), limits),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """What one of the framing reads is likely to take, or nearly so."""
    body = draw(st.binary(max_size=40) | st.text("ab\r\n", max_size=20).map(str.encode))
    prefix = draw(st.sampled_from([0, 0, 1, 2, 4, 8]))
    header = len(body).to_bytes(prefix, draw(st.sampled_from(["big", "little"]))) if prefix else b""
    return header + body + draw(st.sampled_from([b"", b"\n", b"\r\n"]))


@FEW
@given(
    st.lists(messages(), max_size=25).map(b"".join),
    st.lists(frames, max_size=40),
    st.lists(st.integers(1, 30), max_size=60),
    st.sampled_from([0.0, 0.0005]),
)
def test_any_split_of_any_stream_gives_the_same_frames(
    data: bytes, plan: list[Frame], cuts: list[int], patience: float
) -> None:
    expected: list[bytes | str] = []
    rest = data
    for frame in plan:
        answer = frame.model(rest)
        expected.append(answer.what)
        rest = rest[answer.taken :]

    with ends() as (client, server):
        pieces = cut(data, cuts)
        seen: list[bytes | str] = []
        for frame in plan:
            while True:
                try:
                    seen.append(outcome(frame, server, patience if pieces else 10))
                    break
                except WAITED:
                    assert pieces, "all was sent, and the stream has ended"
                client.sendall(pieces.pop(0))
                if not pieces:
                    client.shutdown("send")
        if pieces:
            client.sendall(b"".join(pieces))
            client.shutdown("send")
        assert seen == expected
        assert server.recv_all(timeout=10) == rest


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


class Ledger(RuleBasedStateMachine):
    """One direction with small buffers, one reader, every kind of call. `ahead` is what is still to be read, in
    order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.ahead = bytearray()

    @initialize(recv_buffer=st.sampled_from([SMALL, 1 << 17]), send_buffer=st.sampled_from([SMALL, 1 << 17]))
    def connect(self, recv_buffer: int, send_buffer: int) -> None:
        pair = ends(recv_buffer=recv_buffer, send_buffer=send_buffer)
        self.client, self.server = self.stack.enter_context(pair)

    def teardown(self) -> None:
        self.stack.close()

    timeouts = st.sampled_from([0.0, 0.0, 0.0005])
    sizes = st.integers(1, 200) | st.integers(1, 200_000)

    @rule(size=sizes, timeout=timeouts)
    def send(self, size: int, timeout: float) -> None:
        data = stream(self.client.totals.sent, size)
        with contextlib.suppress(*WAITED):
            self.ahead += data[: self.client.send(data, timeout=timeout)]

    @rule(size=sizes, timeout=timeouts, framed=st.booleans())
    def sendall(self, size: int, timeout: float, framed: bool) -> None:
        data = stream(self.client.totals.sent, size)
        whole = size.to_bytes(4, "big") + data if framed else data
        try:
            (self.client.send_frame if framed else self.client.sendall)(data, timeout=timeout)
        except WAITED as error:
            whole = whole[: error.sent]  # type: ignore[union-attr]
        self.ahead += whole

    def take(self, data: bytes | bytearray) -> None:
        assert data == self.ahead[: len(data)]
        del self.ahead[: len(data)]

    @rule(size=sizes, timeout=timeouts)
    def recv(self, size: int, timeout: float) -> None:
        with contextlib.suppress(*WAITED):
            data = self.server.recv(size, timeout=timeout)
            assert 0 < len(data) <= size
            self.take(data)

    @rule(size=sizes, timeout=timeouts)
    def recv_into(self, size: int, timeout: float) -> None:
        space = bytearray(size)
        with contextlib.suppress(*WAITED):
            count = self.server.recv_into(space, timeout=timeout)
            assert count > 0
            assert not any(space[count:])
            self.take(space[:count])

    @rule(size=sizes | st.integers(65_530, 65_542), timeout=timeouts)
    def recv_exactly(self, size: int, timeout: float) -> None:
        with contextlib.suppress(*WAITED):
            data = self.server.recv_exactly(size, timeout=timeout)
            assert len(data) == size
            self.take(data)

    @rule(sep=st.binary(min_size=1, max_size=2), limit=st.integers(2, 100_000), timeout=timeouts)
    def recv_until(self, sep: bytes, limit: int, timeout: float) -> None:
        try:
            data = self.server.recv_until(sep, max_bytes=limit, timeout=timeout)
        except sl.FrameTooLongError:
            assert sep not in self.ahead[:limit]
        except WAITED:
            pass
        else:
            assert data.find(sep) == len(data) - len(sep)
            self.take(data)

    @rule(prefix=st.sampled_from([1, 2, 4]), limit=st.integers(0, 100_000), timeout=timeouts)
    def recv_frame(self, prefix: Any, limit: int, timeout: float) -> None:
        size = int.from_bytes(self.ahead[:prefix], "big")
        try:
            data = self.server.recv_frame(prefix, max_bytes=limit, timeout=timeout)
        except sl.FrameTooLongError:
            assert size > limit
        except WAITED:
            pass
        else:
            assert len(data) == size
            self.take(self.ahead[:prefix] + data)

    @rule(size=sizes, timeout=timeouts)
    def peek(self, size: int, timeout: float) -> None:
        with contextlib.suppress(*WAITED):
            data = self.server.peek(size, timeout=timeout)
            assert 0 < len(data) <= size
            assert data == self.ahead[: len(data)]

    @rule(data=st.binary(max_size=50) | st.integers(0, 200_000).map(bytes))
    def unrecv(self, data: bytes) -> None:
        self.server.unrecv(data)
        self.ahead[:0] = data

    @rule(sep=st.integers(0, 255).map(lambda number: bytes([number])))
    def lines_taken_and_put_back(self, sep: bytes) -> None:
        with contextlib.suppress(*WAITED, sl.FrameTooLongError):
            self.server.unrecv(self.server.recv_until(sep, timeout=0))

    @invariant()
    def nothing_is_lost(self) -> None:
        eventually(self.balanced, what="a balance")

    def balanced(self) -> bool:
        settle(self.client, self.server)
        # The kernel may send in between: what is in flight is asked for before and after.
        beyond = self.client.totals.sent - arrived(self.server)
        totals, inputs, outputs = self.server.totals, self.server.input_buffer, self.client.output_buffer
        if len(outputs) != beyond or arrived(self.server) != self.client.totals.sent - beyond:
            return False
        assert totals.received + totals.put_back == totals.read + inputs.rust
        assert self.client.totals.sent == totals.read - totals.put_back + inputs.rust + inputs.kernel + len(outputs)
        assert len(self.ahead) == len(inputs) + len(outputs)
        content = bytes(inputs)
        assert content == self.ahead[: len(content)]
        assert len(content) == min(len(inputs), 1 << 16)
        content = bytes(outputs)
        assert content == self.ahead[len(self.ahead) - len(content) :]
        assert len(content) + outputs.not_kept == len(outputs)
        return True


TestLedger = Ledger.TestCase
TestLedger.settings = settings(FEW, max_examples=60, stateful_step_count=40)


@FEW
@given(
    size=st.sampled_from([1, 4096, 65_535, 65_536, 65_537, 131_072, 300_000]),
    held=st.integers(0, 70_000),
    cuts=st.lists(st.integers(1, 70_000), max_size=8),
    timeout=st.sampled_from([0.0, 0.0005]),
    others=st.lists(st.sampled_from(["peek", "line", "look", "smaller", "unrecv"]), min_size=8, max_size=8),
)
def test_recv_exactly_with_timeouts_in_the_middle_loses_nothing(
    size: int, held: int, cuts: list[int], timeout: float, others: list[str]
) -> None:
    """Below and above the size from which it fills its answer in place."""
    with ends() as (client, server):
        # In Rust memory before the first byte comes.
        server.unrecv(stream(0, held))
        given, taken = held, 0
        for amount, other in zip(cuts, others, strict=False):
            if given - taken < size:
                with pytest.raises(WAITED):
                    server.recv_exactly(size, timeout=timeout)
            seen = bytes(server.input_buffer)
            assert seen == stream(taken, len(seen))
            match other:
                case "peek" if given > taken:
                    seen = server.peek(1 << 20)
                    assert seen == stream(taken, len(seen))
                case "line":
                    with contextlib.suppress(*WAITED, sl.FrameTooLongError):
                        line = server.recv_line(timeout=timeout)
                        assert line == stream(taken, len(line))
                        taken += len(line)
                case "smaller" if given > taken:
                    assert server.recv_exactly(1) == stream(taken, 1)
                    taken += 1
                case "unrecv" if taken > 0:
                    taken -= 1
                    server.unrecv(stream(taken, 1))
            client.sendall(stream(given, amount))
            given += amount
        client.sendall(stream(given, size))
        assert server.recv_exactly(size, timeout=10) == stream(taken, size)
        client.shutdown("send")
        assert server.recv_all(timeout=10) == stream(taken + size, given - taken)


@linux
def test_bytes_put_back_end_a_wait_for_them(pair: Pair) -> None:
    """A reader that waits in another thread must not sleep on while the input buffer holds what it waits for."""
    client, server = pair
    with sleeping_call(server.recv_line) as reader:
        server.unrecv(b"a line\n")
        with contextlib.suppress(TimeoutError):
            reader.result(2)
        woken = reader.done()
        client.send(b"the end\n")
        assert reader.result(10) == b"a line\n"
        assert woken, "it slept until the peer sent something"


@linux
@pytest.mark.parametrize("size", [1 << 10, 1 << 17])
def test_bytes_put_back_are_before_those_that_come_later(pair: Pair, size: int) -> None:
    client, server = pair
    with sleeping_call(lambda: server.recv(size)) as reader:
        server.unrecv(b"first")
        client.send(b"second")
        got = reader.result(10)
    while len(got) < 11:
        got += server.recv(timeout=10)
    assert got == b"firstsecond"


@linux
def test_bytes_put_back_during_a_large_read_stay_in_order(pair: Pair) -> None:
    """What a read in progress has gathered comes before; put back means: in front of what is not read yet."""
    client, server = pair
    # Its end ends the reader, whatever else happens.
    with sleeping_call(lambda: server.recv_exactly(100_000)) as reader, client:
        server.unrecv(stream(0, 50_000))
        client.sendall(stream(50_000, 60_000))
        assert reader.result(10) == stream(0, 100_000)
    assert server.recv_exactly(10_000, timeout=10) == stream(100_000, 10_000)


@linux
@pytest.mark.parametrize("size", [100, 100_000])
def test_every_view_counts_what_a_read_in_progress_has_gathered(pair: Pair, size: int) -> None:
    client, server = pair
    with sleeping_call(lambda: server.recv_exactly(size)) as reader:
        client.send(b"gathered")
        eventually(lambda: server.input_buffer.rust == 8)
        assert (len(server.input_buffer), bytes(server.input_buffer)) == (8, b"gathered")
        assert "in 8 B" in repr(server)
        assert (server.totals.received, server.totals.read) == (8, 0)
        client.sendall(bytes(size - 8))
        assert reader.result(10) == b"gathered" + bytes(size - 8)
