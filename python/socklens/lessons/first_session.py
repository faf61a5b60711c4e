"""The exercises of the first notebook, and the stage it plays on. Every check looks at real sockets, takes a few seconds at
most, and closes what it opened; the student's own sockets are left as they were found.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import socklens as sl

from .bounded import run, value_of, waiting_place
from .exercise import Exercise, Wrong
from .first_session_questions import at_the_end, where_is_hello, which_port
from .judging import callable_, kind
from .stage import B, C, cast, left_behind, somebody_waits, usable

__all__ = [
    "ask",
    "at_the_end",
    "cast",
    "left_behind",
    "other_end",
    "somebody_waits",
    "third_client",
    "usable",
    "where_is_hello",
    "which_port",
]

SECONDS = 3.0  # the longest that one call of a student's function may take


# ── other_end: which of the accepted sockets belongs to this client? ──────────────────────────────────────────────────


def _judge_other_end(function: object) -> str:
    called = callable_(function)
    with ExitStack() as stack:
        clients, accepted = _crowd(stack)
        # The client that shares its endpoint comes last: who compares hosts only, or always takes the first, hears that first.
        for client, right in sorted(zip(clients, accepted, strict=True), key=lambda ends: ends[0] is clients[0]):
            result = run(called, client, accepted[::-1], seconds=SECONDS, release=stack.close)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            _compare_end(value_of(result), client, right, accepted)
    return f"{len(clients)} clients, {len(clients)} accepted sockets, and each client found its own."


def _compare_end(answer: object, client: sl.Connection, right: sl.Connection, accepted: list[sl.Connection]) -> None:
    if client.closed or any(end.closed for end in accepted):
        raise Wrong("Your function closed a socket. Looking at the addresses is enough; nothing has to be closed.")
    if answer is right:
        return
    if answer is None:
        raise Wrong(
            f"For the client at `{client.local_addr}` your function returned None. Does every way through it return?"
        )
    if answer is client:
        raise Wrong("Your function returned the client itself. The other end is one of the sockets in the list.")
    chosen = next((end for end in accepted if end is answer), None)
    if chosen is None:
        raise Wrong(f"Your function returned {kind(answer)}, which is none of the sockets in the list.")
    if chosen.peer_addr == client.local_addr:
        raise Wrong(
            f"Two sockets in the list have the peer `{client.local_addr}`: that client is connected to two listeners. Yours "
            f"has the local address `{chosen.local_addr}`, but this client is connected to `{client.peer_addr}`. "
            "It takes all four values to tell connections apart."
        )
    if chosen.peer_addr.host == client.local_addr.host:
        raise Wrong(
            f"The client has the address `{client.local_addr}`, the socket you chose has the peer `{chosen.peer_addr}`: "
            "the same machine, but another port. An endpoint is both."
        )
    raise Wrong(f"The client has the address `{client.local_addr}`, but you chose the peer `{chosen.peer_addr}`.")


def _crowd(stack: ExitStack) -> tuple[list[sl.Connection], list[sl.Connection]]:
    """Four clients and their accepted ends: three at one listener, and one that shares the first one's address and port
    but is connected to a second listener (left out where the platform does not allow it)."""
    first, second = stack.enter_context(sl.listen()), stack.enter_context(sl.listen())
    clients: list[sl.Connection] = []
    accepted: list[sl.Connection] = []
    for listener, port in ((first, 0), (first, 0), (first, 0), (second, None)):
        try:
            client = _client(listener.local_addr, clients[0].local_addr.port if port is None else port)
        except OSError:
            continue
        clients.append(stack.enter_context(client))
        accepted.append(stack.enter_context(listener.accept(timeout=SECONDS)))
    return clients, accepted


def _client(target: sl.Address, source_port: int) -> sl.Connection:
    # SO_REUSEADDR on both sockets lets two connections leave from one local endpoint to different peers (socket(7)).
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", source_port))
        sock.settimeout(SECONDS)
        sock.connect(tuple(target))
    except BaseException:
        sock.close()
        raise
    return sl.Connection.from_socket(sock)


other_end = Exercise(
    "other_end",
    expects=("other_end",),
    hint="If `x` and `y` are the two ends of one connection, then `x.local_addr == y.peer_addr`. And the other way round?",
    solution="""
def other_end(client, sockets):
    for end in sockets:
        if end.peer_addr == client.local_addr and end.local_addr == client.peer_addr:
            return end
""",
    judge=_judge_other_end,
)


# ── third_client: one more client and its accepted socket ─────────────────────────────────────────────────────────────

_TOKEN = b"socklens?"


def _judge_third_client(listener: object, d: object, a_for_d: object) -> str:
    if not isinstance(listener, sl.Listener):
        raise Wrong(f"The first answer has to be the listener; it is {kind(listener)}.")
    if isinstance(a_for_d, sl.Listener):
        raise Wrong(
            "`a_for_d` is the listener. A listener carries no data: `listener.accept()` returns the socket that does."
        )
    if isinstance(d, sl.Listener):
        raise Wrong("`d` is a listener. A client is made with `sl.connect`.")
    client, server = _open_connection("d", d), _open_connection("a_for_d", a_for_d)
    _compare_ends(listener, client, server)
    _pass_bytes(client, server, "from `d` to `a_for_d`")
    _pass_bytes(server, client, "from `a_for_d` to `d`")
    return (
        f"`{client.local_addr}` and `{server.local_addr}` are the two ends of one connection, and bytes pass both ways."
    )


def _open_connection(name: str, end: object) -> sl.Connection:
    if not isinstance(end, sl.Connection):
        raise Wrong(f"`{name}` is {kind(end)}, not a connection.")
    if end.closed:
        raise Wrong(f"`{name}` is closed already. Leave both ends open, so that bytes can pass.")
    return end


def _compare_ends(listener: sl.Listener, d: sl.Connection, a_for_d: sl.Connection) -> None:
    if d is a_for_d:
        raise Wrong(
            "`d` and `a_for_d` are the same socket. A connection has two ends, and each is a socket of its own."
        )
    if d.local_addr in (B, C):
        raise Wrong(f"`{d.local_addr}` is one of the lecture's clients. Make a new one, from any other port.")
    if d.local_addr == listener.local_addr and a_for_d.peer_addr == d.local_addr:
        raise Wrong("`d` and `a_for_d` are swapped: `d` has the listener's port, so it is the end that A accepted.")
    if d.peer_addr != listener.local_addr:
        raise Wrong(f"`d` is connected to `{d.peer_addr}`, but A listens on `{listener.local_addr}`.")
    if a_for_d.peer_addr != d.local_addr or a_for_d.local_addr != d.peer_addr:
        raise Wrong(
            f"They are ends of two different connections: `d` has the address `{d.local_addr}`, but the peer of `a_for_d` is "
            f"`{a_for_d.peer_addr}`. `accept` returns the client that has waited longest: accept once more."
        )


def _pass_bytes(sender: sl.Connection, receiver: sl.Connection, way: str) -> None:
    """Send a few bytes and take them out again; what was in the receiver's input buffer before stays there."""
    before = len(receiver.input_buffer)
    try:
        sender.sendall(_TOKEN, timeout=SECONDS)
        received = receiver.recv_exactly(before + len(_TOKEN), timeout=SECONDS)
    except (OSError, sl.IncompleteReadError) as error:
        raise Wrong(f"No bytes pass {way}: {error}") from None
    if before:
        receiver.unrecv(received[:before])
    if received[before:] != _TOKEN:
        raise Wrong(f"Other bytes came {way} than were sent. Does another cell use this connection at the same time?")


third_client = Exercise(
    "third_client",
    expects=("listener", "d", "a_for_d"),
    hint="A client needs no `source=`: without it the kernel picks a free port. What does the listener do for each new client?",
    solution="""
d = sl.connect(listener.local_addr)
a_for_d = listener.accept()
""",
    judge=_judge_third_client,
)


# ── ask: send a line, receive a whole line ────────────────────────────────────────────────────────────────────────────

_NEWLINE = repr(b"\n")
_DIALOGUE = (
    (b"Where does A listen?", (b"127.0.0", b".101:6", b"666\n")),
    (b"And where is B?", (b"127.0.0.110:", b"50320\n")),
)


class _Peer:
    """The other end of ``ask``: reads a line, answers in pieces, and lets a piece go only when the one before it has been
    read, so that no piece ever meets another in the receiver's buffer. What it finds wrong is its ``complaint``."""

    def __init__(self, server: sl.Connection, client: sl.Connection) -> None:
        self.complaint = ""
        self.answers = 0  # answered to the last byte
        self._server = server
        self._client = client
        self._asked = [threading.Event() for _ in _DIALOGUE]
        self._heard = [threading.Event() for _ in _DIALOGUE]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="socklens-check-peer", daemon=True)
        self._thread.start()

    def listen_to(self, turn: int) -> None:
        """The question of this turn will be asked now; the peer waits for it no longer than is kind."""
        self._asked[turn].set()

    def heard(self, turn: int) -> bool:
        """Whether the question of this turn came as it should; waits until that is known."""
        self._heard[turn].wait(SECONDS)
        return not self.complaint

    def stop(self) -> None:
        self._over.set()
        self._server.close()
        for asked in self._asked:
            asked.set()
        self._thread.join(SECONDS)

    def _play(self) -> None:
        sent = 0
        try:
            for (question, pieces), asked, heard in zip(_DIALOGUE, self._asked, self._heard, strict=True):
                asked.wait()
                self._hear(question + b"\n")
                heard.set()
                for piece in pieces:
                    self._server.sendall(piece, timeout=SECONDS)
                    sent += len(piece)
                    while self._client.totals.received < sent and not self._over.wait(0.001):
                        pass
                self.answers += 1
        except OSError:
            pass  # the check is over, or the function under test closed its end: judged from that side
        except Wrong as wrong:
            self.complaint = str(wrong)
            self._server.abort()  # RST ends every wait of the function under test; after FIN its loop might spin
        finally:
            for heard in self._heard:
                heard.set()

    def _hear(self, expected: bytes) -> None:
        try:
            came = self._server.recv_line(timeout=SECONDS / 3)
        except TimeoutError:
            came = bytes(self._server.input_buffer)
        except sl.IncompleteReadError as error:
            came = error.partial
        if not came:
            raise Wrong(
                "The peer waited for the question, but no byte came. Does your function send before it receives?"
            )
        if came + b"\n" == expected:
            raise Wrong(
                f"The peer got `{came!r}` and went on waiting for the end of the line. A line ends with `{_NEWLINE}`, and "
                "only the sender can put it there."
            )
        if came != expected:
            raise Wrong(f"The peer expected `{expected!r}`, but it got `{came!r}`.")


def _judge_ask(function: object) -> str:
    called = callable_(function)
    client, server = sl.pair()
    with client, server:
        peer = _Peer(server, client)
        try:
            for turn, (question, pieces) in enumerate(_DIALOGUE):
                if client.closed:
                    raise Wrong("Your function closed the connection, so the next question cannot be asked.")
                peer.listen_to(turn)
                result = run(called, client, question, seconds=SECONDS, release=client.close)
                if result.hung:
                    raise Wrong(_explain_hang(peer, turn, waiting_place(result)))
                answer = None if peer.complaint else value_of(result)
                if not peer.heard(turn):
                    raise Wrong(peer.complaint)
                _compare_answer(answer, pieces)
        finally:
            peer.stop()
    return "Two questions on one connection, answered in five pieces, and each time you returned one whole line."


def _explain_hang(peer: _Peer, turn: int, place: str) -> str:
    late = f"Your function had not returned after {SECONDS:g} seconds{place}."
    if not peer.heard(turn):
        return f"{late} {peer.complaint}"
    if peer.answers == turn:
        return late
    return (
        f"{late} The peer has sent its whole line, and the connection stays open for the next question: neither more bytes "
        "nor the end of the stream will come."
    )


def _compare_answer(answer: object, pieces: tuple[bytes, ...]) -> None:
    line = b"".join(pieces)
    if isinstance(answer, str):
        raise Wrong(f"Your function returned text, `{answer!r}`. TCP carries bytes: return the line as bytes.")
    if answer is None:
        raise Wrong("Your function returned None. Return the line that you received.")
    if not isinstance(answer, bytes | bytearray):
        raise Wrong(f"Your function returned {kind(answer)}, not bytes.")
    if answer == line:
        return
    if answer == line.rstrip(b"\n"):
        raise Wrong(f"You returned `{bytes(answer)!r}`: nearly. The end of the line, `{_NEWLINE}`, belongs to it.")
    if answer and line.startswith(answer):
        came = ", ".join(f"`{piece!r}`" for piece in pieces)
        raise Wrong(
            f"You returned `{bytes(answer)!r}`, but the line is longer: it arrives as {came}. One `recv` returns what is "
            "there, not a message. Receive until the line has its end."
        )
    raise Wrong(f"You returned `{bytes(answer)!r}`, but the peer answered `{line!r}`.")


ask = Exercise(
    "ask",
    expects=("ask",),
    hint=(
        f"The question needs its `{_NEWLINE}`. For the answer, `recv` again while what you have does not end with "
        f"`{_NEWLINE}`; or look at what `conn.recv_line` does."
    ),
    solution="""
def ask(conn, question):
    conn.sendall(question + b"\\n")
    answer = b""
    while not answer.endswith(b"\\n"):
        piece = conn.recv(1024)
        if piece == b"":        # the peer has finished: no more will come
            break
        answer += piece
    return answer

# conn.recv_line() is this loop, and keeps what came after the line for the next call.
""",
    judge=_judge_ask,
)
