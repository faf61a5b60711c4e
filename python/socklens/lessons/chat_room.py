"""The exercises of the second notebook, and what its cells use beside sockets. A check starts a server of its own on a free port
and stops it; the student's own room is left as it was found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import socklens as sl

from ..display.escape import escape
from .bounded import run, value_of, waiting_place
from .chat_room_questions import server_ports, where_is_the_talk, whom_it_hits
from .exercise import Exercise, NotAttempted, Wrong
from .judging import callable_, kind, until
from .stage import room, terminal_command

__all__ = [
    "chat",
    "guest",
    "hear",
    "join",
    "room",
    "server_ports",
    "settle",
    "slowest",
    "terminal_command",
    "where_is_the_talk",
    "whom_it_hits",
]

SECONDS = 2.0  # the longest that one call of a student's function may take
_NEWLINE = repr(b"\n")
_QUIET = 0.2  # seconds without a byte after which what was on its way has come


def hear(**clients: sl.Connection) -> None:
    """Take what has come for each client, after waiting a moment for the last of it, and print it line by line."""
    heard = {name: _Ear(conn) for name, conn in clients.items()}
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < _QUIET:
        if sum(ear.takes() for ear in heard.values()):  # not any(): every one of them takes
            quiet_since = time.monotonic()
        time.sleep(0.005)
    width = max(map(len, clients), default=0)
    for name, ear in heard.items():
        lines = ear.lines()
        for start, line in zip([name, *[""] * len(lines)], lines, strict=False):
            print(f"{start:>{width}} {'hears' if start else '     '}  {line}")


class _Ear:
    """What has come for one client, and how its stream ended if it did."""

    def __init__(self, conn: sl.Connection) -> None:
        self._conn = conn
        self._came = b""
        self._end = "(closed)" if conn.closed else ""

    def takes(self) -> bool:
        """Whether something was there to be taken."""
        if self._end:
            return False
        try:
            piece = self._conn.recv(65536, timeout=0)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            self._end = f"({type(error).__name__})"
            return True
        self._came += piece
        if not piece:
            self._end = "(the end of the stream)"
        return True

    def lines(self) -> list[str]:
        """All of it, safe to print."""
        lines = [escape(line) for line in self._came.split(b"\n") if line]
        return [*lines, *filter(None, [self._end])] or ["(nothing)"]


def guest(server: sl.Server, name: str) -> sl.Connection:
    """A client that has joined the room under this name, and has taken the two lines that greeted it."""
    conn = sl.connect(server.local_addr)
    conn.recv_line()
    conn.sendall(name.encode() + b"\n")
    conn.recv_line()
    return conn


def settle(conn: sl.Connection) -> None:
    """Wait, for a second at most, until the peer's kernel has acknowledged all that was sent, and a moment for what it does with it."""
    until(lambda: not len(conn.output_buffer), 1.0)
    time.sleep(_QUIET)


# ── join: from connect to the first word ──────────────────────────────────────────────────────────────────────────────


def _judge_join(function: object) -> str:
    called = callable_(function)
    with sl.Server(sl.Chat()) as server, ExitStack() as stack:
        witness = stack.enter_context(guest(server, "witness"))
        for name in ("dora", "zoë"):
            why: list[str] = []

            def give_up(why: list[str] = why) -> None:
                why.append(_why_it_waits(server))
                server.stop(0)

            result = run(called, server.local_addr, name, seconds=SECONDS, release=give_up)
            if result.hung:
                raise Wrong(
                    f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}. {why[0]}"
                )
            answer = value_of(result)
            if isinstance(answer, sl.Connection):
                stack.enter_context(answer)
            _hears_next(_a_guest(answer, server, name), witness, name)
    return "Two guests are in the room under their names, and what each hears next is what somebody says."


def _why_it_waits(server: sl.Server) -> str:
    nameless = [client for client in server.clients if client.name is None]
    if any(client.totals.received for client in nameless):
        return "The room waits as well: a name ends with a newline, and yours has none."
    if nameless:
        return "The room has sent its welcome, and waits for a name."
    return (
        "The room greets a guest with two lines, one before the name and one after it; more do not come by themselves."
    )


def _a_guest(answer: object, server: sl.Server, name: str) -> sl.Connection:
    if answer is None:
        raise Wrong("Your function returned None. Return the connection.")
    if not isinstance(answer, sl.Connection):
        raise Wrong(f"Your function returned {kind(answer)}, not the connection.")
    if answer.closed:
        raise Wrong("The connection is closed already, and so the guest has left. Return it open.")
    if answer.peer_addr != server.local_addr:
        raise Wrong(
            f"The connection leads to `{answer.peer_addr}`, but the room in `address` is at `{server.local_addr}`."
        )
    if not until(lambda: name in server.clients, 0.5):
        raise Wrong(_why_nameless(server, answer, name))
    return answer


def _why_nameless(server: sl.Server, conn: sl.Connection, name: str) -> str:
    mine = next((client for client in server.clients if client.peer_addr == conn.local_addr), None)
    if mine is not None and mine.name is not None:
        return f"The guest has to be called `{name}`, but the roster has it as `{mine.name}`."
    if conn.totals.sent == 0:
        return "The guest is in the room, but the room waits for its name: nothing has been sent."
    return (
        f"You sent {conn.totals.sent} bytes, and the room still waits for the rest of the name: a line ends with a newline, "
        f"`{_NEWLINE}`, and only the sender can put it there."
    )


def _hears_next(conn: sl.Connection, witness: sl.Connection, name: str) -> None:
    said = f"hello, {name}".encode()
    witness.sendall(said + b"\n")
    try:
        line = conn.recv_line(timeout=SECONDS / 2)
    except (OSError, sl.IncompleteReadError) as error:
        raise Wrong(f"What the others say does not reach the guest: {error}") from None
    if line == b"witness: " + said + b"\n":
        return
    if line.startswith(b"* "):
        raise Wrong(
            f"The next line that the guest reads is `{line!r}`, not what somebody says. The room greets with two lines, one before the "
            "name and one after it: read both in your function."
        )
    raise Wrong(f"The guest should hear `{b'witness: ' + said!r}` as its next whole line, but it reads `{line!r}`.")


join = Exercise(
    "join",
    expects=("join",),
    hint=(
        "Four steps, in the order in which you did them by hand: `sl.connect`, `recv_line`, `sendall`, `recv_line`. A name is text, and "
        "`name.encode()` is its bytes; the newline is up to you."
    ),
    solution="""
def join(address, name):
    conn = sl.connect(address)
    conn.recv_line()                            # * Welcome …
    conn.sendall(name.encode() + b"\\n")
    conn.recv_line()                            # * You are …
    return conn
""",
    judge=_judge_join,
)


# ── chat: a chat with names, as a handler ─────────────────────────────────────────────────────────────────────────────


def _judge_chat(function: object) -> str:
    called = callable_(function)
    with ExitStack() as stack:
        returned: list[object] = []
        server = sl.Server(lambda conn: returned.append(called(server, conn)))
        stack.enter_context(server)
        stack.callback(server.stop, 0)
        ana, bob, eve = (stack.enter_context(sl.connect(server.local_addr)) for _ in _NAMES)
        for conn, name in zip((ana, bob, eve), _NAMES, strict=True):
            _give_name(server, conn, name, returned)
        _said(server, ana, b"hello\n", b"ana: hello\n", {"bob": bob, "eve": eve})
        if b"ana: hello\n" in _lines(ana, [b"ana: hello\n"], 0.1):
            raise Wrong("Ana hears herself. `but=` leaves one client out of a broadcast.")
        _said(server, bob, b"one\ntwo\n", b"bob: two\n", {"ana": ana, "eve": eve})
        eve.close()
        if not until(lambda: "eve" not in server.clients, SECONDS / 2):
            raise Wrong(
                "Eve has finished (FIN), but your function goes on for her. `conn.lines()` ends by itself then."
            )
        _said(server, ana, b"still here?\n", b"ana: still here?\n", {"bob": bob})
        _no_errors(server)
    return "Three clients, each under its own name; what one says the others hear, and when one leaves, the rest go on."


_NAMES = ("ana", "bob", "eve")


def _give_name(server: sl.Server, conn: sl.Connection, name: str, returned: list[object]) -> None:
    """Sends the name, and waits until it is in the roster."""
    # A ServerError or a return before that is known at once; nobody has to wait for it.
    conn.sendall(name.encode() + b"\n")
    until(lambda: name in server.clients or server.errors or returned, SECONDS / 2)
    if name in server.clients:
        return
    _no_errors(server)
    if ... in returned:
        raise NotAttempted
    mine = next((client for client in server.clients if client.peer_addr == conn.local_addr), None)
    if mine is None:
        raise Wrong(
            f"{name.title()} has sent the name, and your function has returned: that ends the connection. Go on with the lines."
        )
    if mine.name is not None and mine.name.strip() == name:
        raise Wrong(f"The roster has the name {mine.name!r}: the newline belongs to the line, not to the name.")
    if mine.name is not None:
        raise Wrong(f"The first line was `{name}`, but the roster has the name `{mine.name}`.")
    raise Wrong(
        f"The first line was `{name}`, but the roster has no name for this client. `server.clients[conn].name = …` gives it one."
    )


def _said(
    server: sl.Server, speaker: sl.Connection, line: bytes, expected: bytes, others: dict[str, sl.Connection]
) -> None:
    speaker.sendall(line)
    for name, conn in others.items():
        came = _lines(conn, [expected], SECONDS / 2)
        if expected not in came:
            _no_errors(server)
            raise Wrong(_explain_lines(name, expected, came))


def _lines(conn: sl.Connection, wanted: list[bytes], seconds: float) -> list[bytes]:
    """The lines that come until all that are wanted have come, or the time is over."""
    lines: list[bytes] = []
    deadline = time.monotonic() + seconds
    try:
        while not set(wanted) <= set(lines):
            lines.append(conn.recv_line(timeout=max(deadline - time.monotonic(), 0)))
    except (OSError, sl.IncompleteReadError):
        if len(conn.input_buffer):
            lines.append(bytes(conn.input_buffer))
    return lines


def _explain_lines(name: str, expected: bytes, came: list[bytes]) -> str:
    said = expected.partition(b": ")[2]
    heard = f"{name.title()} should hear `{expected!r}`"
    if not came:
        return f"{heard}, but hears nothing. Does your function send on every line, to all others?"
    if said in came:
        return f"{heard}, but hears `{said!r}`: it does not say who spoke."
    return f"{heard}, but hears `{came[-1]!r}`."


def _no_errors(server: sl.Server) -> None:
    if server.errors:
        error = server.errors[0]
        what = f"{type(error.exception).__name__}: {error.exception}"
        if isinstance(error.exception, NotImplementedError):
            raise NotAttempted
        raise Wrong(
            f"Your function raised {what}. In a server of your own, `print(server.errors[-1].traceback)` shows where."
        )


chat = Exercise(
    "chat",
    expects=("chat",),
    hint=(
        "`conn.recv_line(keep_end=False)` takes the first line without its newline. It is bytes; the roster wants text: "
        "`.decode()`. After that, one loop over `conn.lines()`."
    ),
    solution="""
def chat(server, conn):
    name = conn.recv_line(keep_end=False)
    server.clients[conn].name = name.decode()
    for line in conn.lines():
        server.broadcast(name + b": " + line, but=conn)
""",
    judge=_judge_chat,
)


# ── slowest: for whom does most wait? ─────────────────────────────────────────────────────────────────────────────────

_SMALL = 4096  # a receive buffer that is full soon


def _judge_slowest(function: object) -> str:
    called = callable_(function)
    for order in (("mia", "tom", "lea"), ("lea", "mia", "tom")):
        with _some_slow(order) as server:
            waiting = {str(client.name): len(client.conn.output_buffer) for client in server.clients}
            result = run(called, server, seconds=SECONDS, release=lambda: None)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            _compare_name(value_of(result), waiting)
    return "Twice three clients, and both times you named the one for whom most waits."


def _compare_name(answer: object, waiting: dict[str, int]) -> None:
    right = max(waiting, key=lambda name: waiting[name])
    if answer == right:
        return
    told = ", ".join(f"`{name}` {count:,}" for name, count in waiting.items())
    if isinstance(answer, sl.Client):
        raise Wrong("Your function returned a client. Return its name.")
    if answer is None:
        raise Wrong("Your function returned None. Return the name.")
    if not isinstance(answer, str):
        raise Wrong(f"Your function returned {kind(answer)}. Return the name, as text.")
    if answer not in waiting:
        raise Wrong(f"Nobody here is called `{answer}`. Bytes in the server's output buffers: {told}.")
    if answer == "mia":
        raise Wrong(
            f"`mia` was sent most, but has taken all of it. What counts is what still waits in the output buffer: {told} bytes."
        )
    raise Wrong(f"You named `{answer}`, but these are the bytes in the server's output buffers: {told}.")


@contextmanager
def _some_slow(order: tuple[str, ...]) -> Iterator[sl.Server]:
    """A room where mia has read a lot, tom has not read a little, and lea has not read more; they come in this order."""
    sizes = {"mia": 900_000, "tom": 150_000, "lea": 450_000}
    with sl.Server(sl.Chat()) as server, ExitStack() as stack:
        stack.callback(server.stop, 0)
        for name in order:
            conn = stack.enter_context(sl.connect(server.local_addr, recv_buffer=None if name == "mia" else _SMALL))
            conn.sendall(name.encode() + b"\n")
            until(lambda name=name: name in server.clients, SECONDS)  # type: ignore[misc]
            here = server.clients[name].conn
            for _ in range(sizes[name] // 50_000):
                here.sendall(b"." * 50_000, timeout=SECONDS)
                if name == "mia":
                    conn.recv_exactly(50_000, timeout=SECONDS)
        yield server


slowest = Exercise(
    "slowest",
    expects=("slowest",),
    hint="`len(client.conn.output_buffer)` is what waits for one client. `max` takes a `key=`.",
    solution="""
def slowest(server):
    return max(server.clients, key=lambda client: len(client.conn.output_buffer)).name
""",
    judge=_judge_slowest,
)
