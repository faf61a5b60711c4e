"""The exercises of the notebook on how connections end, and what its cells use beside sockets. Every check looks at
real sockets, takes a few seconds at most, and closes what it opened.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import socklens as sl

from .bounded import Run, run, value_of, waiting_place
from .exercise import Exercise, Wrong
from .how_connections_end_questions import after_close, after_half_close, empty_send, left_open, port_again, vanished
from .judging import callable_, kind, until

__all__ = [
    "after_close",
    "after_half_close",
    "empty_send",
    "exchange",
    "forgotten",
    "how_it_ended",
    "keepalive_asks_after",
    "left_open",
    "port_again",
    "settled",
    "vanished",
]

SECONDS = 3.0  # the longest that one call of a student's function may take
_PASSING = {"FIN_WAIT_1", "LAST_ACK", "CLOSING"}  # until the other kernel has acknowledged the FIN


def settled(**ends: sl.Connection) -> None:
    """Print the state of each end, once the kernels have acknowledged each other's FIN; waits for that a second at most."""
    until(lambda: not any(end.state.name in _PASSING for end in ends.values()), 1.0)
    width = max(map(len, ends), default=0)
    for name, end in ends.items():
        print(f"{name:>{width}}  {end.state.name:<11}  {end.state.meaning}")


def keepalive_asks_after(conn: sl.Connection) -> int | None:
    """After how many seconds of silence keepalive sends its first probe (TCP_KEEPIDLE, tcp(7)); None where it cannot be asked."""
    if not hasattr(socket, "TCP_KEEPIDLE"):
        return None
    seconds = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    return seconds if isinstance(seconds, int) else None


# ── exchange: finish sending, then read to the end ────────────────────────────────────────────────────────────────────

_REQUEST = b"pear\napple\nplum\n" * 200
_ANSWER = b"".join(sorted(_REQUEST.splitlines(keepends=True)))


class _Sorter:
    """The other end of ``exchange``: reads to the end of the stream, answers in two parts, and closes."""

    def __init__(self, server: sl.Connection, client: sl.Connection) -> None:
        self.complaint = ""
        self._server = server
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="socklens-check-sorter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it; what it found wrong is its ``complaint``."""
        self._over.set()
        self._server.close()
        self._thread.join(2 * SECONDS)

    def _play(self) -> None:
        try:
            self._hear()
            if self._over.wait(0.02):  # who has ended the reading direction as well finds nothing there
                return
            half = len(_ANSWER) // 2
            for part in (_ANSWER[:half], _ANSWER[half:]):
                taken = self._client.totals.received
                self._server.sendall(part, timeout=SECONDS)
                while not self._client.closed and self._client.totals.received < taken + len(part):
                    if self._over.wait(0.001):
                        return
        except OSError:
            return  # the function under test has closed its end, or let it wait: judged from that side
        finally:
            self._server.close()

    def _hear(self) -> None:
        try:
            came = self._server.recv_all(timeout=SECONDS / 2)
        except TimeoutError:
            came = bytes(self._server.input_buffer)
            self.complaint = (
                f"The peer has {len(came):,} of {len(_REQUEST):,} bytes and waits for the end of the request. It cannot know that no "
                "more will come, until your kernel sends FIN: `conn.shutdown('send')`."
            )
            self._server.abort()  # ends the wait of the function under test
            raise
        if came != _REQUEST:
            self.complaint = f"The peer got {len(came):,} bytes that are not the {len(_REQUEST):,} of the request."


def _judge_exchange(function: object) -> str:
    called = callable_(function)
    client, server = sl.pair()
    with client, server:
        sorter = _Sorter(server, client)
        try:
            result = run(called, client, _REQUEST, seconds=SECONDS, release=client.close)
        finally:
            sorter.stop()
        _explain_exchange(result, sorter, client)
        if not client.closed:
            raise Wrong(
                "The answer is right, but your end is still open. When you have read to the end, `conn.close()`: a socket that is "
                "not closed stays in your program until it ends."
            )
    return f"{len(_REQUEST):,} bytes went, you finished, {len(_ANSWER):,} came back to the last one, and both ends are closed."


def _explain_exchange(result: Run, sorter: _Sorter, client: sl.Connection) -> None:
    if isinstance(result.error, sl.ClosedError):
        raise Wrong(
            "Your function closed the connection before it read the answer. `close` ends both directions; `shutdown('send')` "
            "ends yours alone."
        )
    # A reset by the peer, or a wait that it ended, is told with the reason that the peer had.
    if not isinstance(result.error, OSError | None):
        value_of(result)
    if result.error is None and not result.hung and value_of(result) is not None and client.totals.sent == 0:
        raise Wrong("Your function has sent nothing. The request comes first.")
    if sorter.complaint:
        raise Wrong(sorter.complaint)
    if result.hung:
        raise Wrong(
            f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}. From the end of the stream on, "
            "`recv` returns `b''`, every time: that is where to stop."
        )
    _compare_answer(value_of(result), client)


def _compare_answer(answer: object, client: sl.Connection) -> None:
    if answer is None:
        raise Wrong("Your function returned None. Return the answer.")
    if not isinstance(answer, bytes | bytearray):
        raise Wrong(f"Your function returned {kind(answer)}, not bytes.")
    if answer == b"" and client.totals.received == 0:
        raise Wrong(
            "You returned `b''`: nothing was read. `shutdown('both')` and `shutdown('recv')` end the direction in which the answer "
            "comes; `shutdown('send')` ends yours alone."
        )
    if answer != _ANSWER and _ANSWER.startswith(answer):
        raise Wrong(
            f"You returned {len(answer):,} of {len(_ANSWER):,} bytes. The answer is over when `recv` returns `b''`, and not before."
        )
    if answer != _ANSWER:
        raise Wrong(
            f"You returned {len(answer):,} bytes that are not the peer's answer: it sorts the lines of the request."
        )


exchange = Exercise(
    "exchange",
    expects=("exchange",),
    hint="Four steps: `sendall`, `shutdown('send')`, `recv` until it returns `b''` (or `recv_all`), `close`.",
    solution="""
def exchange(conn, request):
    conn.sendall(request)
    conn.shutdown("send")               # FIN: that was all
    answer = b""
    while piece := conn.recv(65536):    # b"" is the peer's FIN
        answer += piece
    conn.close()
    return answer

# conn.recv_all() is the loop, and `with conn:` closes also when an error comes in between.
""",
    judge=_judge_exchange,
)


# ── how_it_ended: finished, reset, or just silent? ────────────────────────────────────────────────────────────────────

_WORDS = ("end", "reset", "silent")


def _finish(server: sl.Connection) -> None:
    server.sendall(b"two bytes more, and goodbye\n")
    server.close()


def _reset(server: sl.Connection) -> None:
    server.sendall(b"one moment")
    server.abort()


def _silence(server: sl.Connection) -> None:
    server.sendall(b"I'll be right back\n")


_ENDINGS: tuple[tuple[Callable[[sl.Connection], None], str, str], ...] = (
    (_finish, "end", "sent a line and closed: FIN"),
    (_reset, "reset", "sent a few bytes and aborted: RST"),
    (_silence, "silent", "sent a line, and then nothing; its end is open"),
    (sl.Connection.close, "end", "closed without a word: FIN"),
)


def _judge_how_it_ended(function: object) -> str:
    called = callable_(function)
    for play, right, story in _ENDINGS:
        client, server = sl.pair()
        with client, server:
            play(server)
            result = run(called, client, seconds=SECONDS, release=client.close)
            if result.hung:
                raise Wrong(
                    f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}. The peer {story}. "
                    f"{_why_endless(right)}"
                )
            _not_escaped(result, right, story)
            _compare_word(value_of(result), right, story)
    return "FIN, RST, silence, and FIN without a byte before it: you told them apart."


def _why_endless(right: str) -> str:
    if right == "silent":
        return "Nothing will come, and nothing says so: give `recv` a `timeout=`."
    return "From the end of the stream on, `recv` returns `b''`, every time."


def _not_escaped(result: Run, right: str, story: str) -> None:
    expected: dict[str, type[BaseException]] = {"reset": ConnectionResetError, "silent": TimeoutError}
    error = expected.get(right)
    if error is not None and isinstance(result.error, error):
        raise Wrong(f"The peer {story}, and {error.__name__} left your function. Catch it, and return `'{right}'`.")


def _compare_word(answer: object, right: str, story: str) -> None:
    if answer == right:
        return
    told = f"The peer {story}: `'{right}'`, but your function returned"
    if answer not in _WORDS:
        shown = f"`{answer!r}`" if isinstance(answer, str | None) else kind(answer)
        raise Wrong(f"{told} {shown}. The answers are `'end'`, `'reset'` and `'silent'`.")
    raise Wrong(f"{told} `'{answer}'`. {_why_not(str(answer), right)}")


def _why_not(answer: str, right: str) -> str:
    if {right, answer} == {"reset", "silent"}:
        return "Both are errors, and both are an OSError. Catch `TimeoutError` and `ConnectionResetError` one by one."
    if right in ("reset", "silent"):
        return "Bytes come first, and then it is decided. Go on with `recv` until it returns `b''` or raises."
    return "A FIN is no error: `recv` returns `b''`."


how_it_ended = Exercise(
    "how_it_ended",
    expects=("how_it_ended",),
    hint="`recv(timeout=0.5)` in a loop: it returns bytes, or `b''`, or raises ConnectionResetError, or TimeoutError.",
    solution="""
def how_it_ended(conn):
    try:
        while conn.recv(1024, timeout=0.5):
            pass
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "silent"
    return "end"
""",
    judge=_judge_how_it_ended,
)


# ── forgotten: who has finished, and whom did the server forget to close? ─────────────────────────────────────────────


@contextmanager
def _a_careless_server(stays: int, gone: int, closed: int) -> Iterator[tuple[sl.Listener, list[sl.Address]]]:
    """A listener with clients that are still there, that left and were forgotten, and that left and were closed."""
    with ExitStack() as stack:
        listener = stack.enter_context(sl.listen())
        forgot: list[sl.Address] = []
        for number in range(stays + gone + closed):
            client = stack.enter_context(sl.connect(listener.local_addr, timeout=SECONDS))
            ours = stack.enter_context(listener.accept(timeout=SECONDS))
            if number < stays:
                continue
            client.close()
            until(lambda ours=ours: ours.state.name == "CLOSE_WAIT", SECONDS)  # type: ignore[misc]
            if number < stays + gone:
                forgot.append(ours.peer_addr)
            else:
                ours.close()
        yield listener, forgot


def _judge_forgotten(function: object) -> str:
    called = callable_(function)
    for stays, gone, closed in ((1, 0, 1), (1, 2, 1)):
        with _a_careless_server(stays, gone, closed) as (listener, forgot):
            result = run(called, listener, seconds=SECONDS, release=listener.close)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            answer = value_of(result)
            _compare_forgotten(answer, forgot, listener)
    return "One server without and one with two forgotten clients, and you named exactly those."


def _compare_forgotten(answer: object, forgot: list[sl.Address], listener: sl.Listener) -> None:
    if answer is None:
        raise Wrong("Your function returned None. Return a list, which may be empty.")
    if not isinstance(answer, list | tuple | set | frozenset):
        raise Wrong(f"Your function returned {kind(answer)}. Return a list of addresses.")
    found = list(answer)
    if any(isinstance(one, sl.Connection) for one in found):
        raise Wrong("There are connections in your list. What was asked for is their `peer_addr`.")
    if listener.local_addr in found:
        raise Wrong(f"`{listener.local_addr}` is the server's own end. The client's is `peer_addr`.")
    open_still = [conn.peer_addr for conn in listener.connections if conn.state.name == "ESTABLISHED"]
    if any(one in open_still for one in found):
        raise Wrong(
            "A client in your list is still there: its connection is ESTABLISHED. The forgotten are in CLOSE_WAIT."
        )
    if len(found) != len(forgot) or set(found) != set(forgot):
        raise Wrong(f"{len(forgot)} clients have left and were forgotten; your list has {len(found)}.")


forgotten = Exercise(
    "forgotten",
    expects=("forgotten",),
    hint="`listener.connections` are the accepted sockets that are not closed. Compare `conn.state` with `sl.TcpState.CLOSE_WAIT`.",
    solution="""
def forgotten(listener):
    return [conn.peer_addr for conn in listener.connections if conn.state == sl.TcpState.CLOSE_WAIT]
""",
    judge=_judge_forgotten,
)
