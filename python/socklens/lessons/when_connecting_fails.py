"""The predictions and exercises of the notebook on failing connections, and what it needs to make them fail. Everything stays on this
machine: nothing here is sent to a network. Every check takes a few seconds at most, and closes what it opened.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack

import socklens as sl

from .bounded import Run, run, value_of, waiting_place
from .exercise import Exercise, Wrong
from .judging import callable_, kind
from .prediction import Prediction
from .stage import somebody_waits

__all__ = [
    "bound_only",
    "fill",
    "keep_trying",
    "late",
    "out_of_reach",
    "reach",
    "somebody_waits",
    "unaccepted",
]

# The longest that one call of a student's function may take. A SYN that finds the queue full is repeated after 1, 3 and 7 s (RFC 6298), by
# newer kernels more often: shortly before that, the check makes room for it, and a connect without a timeout comes back.
SECONDS = 6.5
_NO_NAME = "chat server"  # a space is in no host's name, so getaddrinfo(3) asks no name server about it


def fill(listener: sl.Listener) -> list[sl.Connection]:
    """Connect clients until no more fits into the listener's accept queue, and return them. Nobody accepts them.

    Where the system does not tell the length of the queue, it is full when a client gets no answer for half a second.
    """
    clients: list[sl.Connection] = []
    while len(clients) < 300 and not _is_full(listener):
        try:
            clients.append(sl.connect(listener.local_addr, timeout=0.5))
        except (TimeoutError, ConnectionRefusedError):  # Windows refuses those whom the queue has no room for
            break
    return clients


def _is_full(listener: sl.Listener) -> bool:
    try:
        backlog = listener.backlog
    except NotImplementedError:
        return False
    return backlog.waiting > backlog.limit  # a queue of limit n holds n + 1 (listen(2))


def out_of_reach() -> sl.Address:
    """An endpoint that this machine's kernel knows no way to; prints what it is. To find it, nothing is sent."""
    outside = "2001:db8::1"
    try:
        # connect(2) of a datagram socket looks the route up, and sends nothing.
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((outside, 80))
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            print(f"{outside} is an IPv6 address outside, and this machine has no IPv6 network that leads there.")
            return sl.Address(outside, 80)
    print(
        "This machine knows a way to every single host, so take 255.255.255.255: that is all hosts of a link at once."
    )
    return sl.Address("255.255.255.255", 80)


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _came_back(outcome: object) -> str:
    if isinstance(outcome, sl.Connection):
        return "a"
    if isinstance(outcome, ConnectionRefusedError):
        return "b"
    if isinstance(outcome, TimeoutError):
        return "c"
    raise TypeError(f"this is {kind(outcome)}: {outcome}")


bound_only = Prediction(
    "bound_only",
    question="A program has bound its socket to a port, and does not call `listen`. What does a client's `connect` do?",
    choices={
        "a": "it connects, and waits for the program",
        "b": "it is refused",
        "c": "it times out: nobody answers",
    },
    observe=_came_back,
    why="The port is taken, and nobody listens on it. For a client only that counts.",
)

late = Prediction(
    "late",
    question="The queue of `full` is full, and nobody accepts. One more client connects, with a timeout of half a second. What happens?",
    choices={"a": "it connects", "b": "it is refused: there is no room", "c": "it times out: nothing comes back"},
    observe=_came_back,
    why=(
        "Linux drops the SYN, as if it had never come: a moment later there may be room, and the client's kernel will repeat it. "
        "So the client hears nothing. (Windows refuses.)"
    ),
)


def _where_it_waits(server: sl.Listener, client: sl.Connection) -> str:
    if not client.totals.sent:
        raise LookupError("nothing has been sent")
    if not somebody_waits(server):
        raise LookupError("the server has accepted the client already")
    return "c"


unaccepted = Prediction(
    "unaccepted",
    question="A client is connected, and the server has not called `accept`. The client sends six bytes. What does `send` do?",
    choices={
        "a": "it fails: nobody has accepted",
        "b": "it waits until the server accepts",
        "c": "it returns; the bytes wait on the server's side",
    },
    observe=_where_it_waits,
    why=(
        "The connection is complete once the two kernels have shaken hands, and the server's kernel takes what comes. `accept` "
        "only gives the program a socket for it."
    ),
)


# ── reach: what happened, in a word ───────────────────────────────────────────────────────────────────────────────────

_WORDS = ("connected", "refused", "timed out", "no such name")
_SCENES = {
    "connected": "A server listened, and had room for your client",
    "refused": "Nobody listened, and RST came back at once",
    "timed out": "A listener's queue was full, and nothing came back",
    "no such name": f"The name was `{_NO_NAME!r}`, which has no address",
}
_CONFUSED = {
    ("timed out", "refused"): "Silence is no refusal: `TimeoutError` is an OSError, but no `ConnectionRefusedError`.",
    ("refused", "timed out"): "A refusal is an answer: `ConnectionRefusedError` comes when nobody listens.",
    (
        "no such name",
        "refused",
    ): "Nobody was asked. A name without an address is `socket.gaierror`, which is an OSError too.",
    ("no such name", "timed out"): "Nobody was asked. A name without an address is `socket.gaierror`, an OSError too.",
}


def _judge_reach(function: object) -> str:
    called = callable_(function)
    with ExitStack() as stack:
        server = stack.enter_context(sl.listen())
        full = stack.enter_context(sl.listen(backlog=1))
        for client in fill(full):
            stack.enter_context(client)
        silent = stack.enter_context(_bound())
        places = {
            "refused": silent.getsockname(),
            "no such name": (_NO_NAME, 6666),
            "connected": server.local_addr,
            "timed out": full.local_addr,
        }
        for word, (host, port) in places.items():
            result = run(called, host, port, seconds=SECONDS, release=full.close)
            _compare_word(result, word)
            if word == "connected":
                _look_for_the_client(server)
    return "A server, a refusal, a full queue and a name without an address: your function told them apart."


def _bound() -> socket.socket:
    """A socket that has a port of 127.0.0.1 and does not listen: whoever connects there is refused."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    silent.bind(("127.0.0.1", 0))
    return silent


def _compare_word(result: Run, word: str) -> None:
    scene = _SCENES[word]
    if result.hung:
        raise Wrong(
            f"{scene}; your function had not returned after {SECONDS:g} seconds{waiting_place(result)}. "
            "Give `connect` a `timeout=`: without one, it goes on for minutes."
        )
    if result.error is not None and not isinstance(result.error, NotImplementedError):
        text = f"{type(result.error).__name__}: {result.error}"
        raise Wrong(
            f"{scene}, and your function raised {text}. It should catch that, and return {_said(word)}."
            if isinstance(result.error, OSError)
            else f"{scene}, and your function raised {text}{_line(result)}."
        )
    answer = value_of(result)
    if answer == word:
        return
    if answer is None:
        raise Wrong(f"{scene}, and your function returned None. Does every way through it return?")
    if answer not in _WORDS:
        raise Wrong(f"{scene}, and your function returned `{answer!r}`. Return one of {', '.join(map(_said, _WORDS))}.")
    why = _CONFUSED.get((word, str(answer)), "")
    raise Wrong(f"{scene}, but your function returned {_said(str(answer))}. {why}".rstrip())


def _said(word: str) -> str:
    return f'`"{word}"`'


def _line(result: Run) -> str:
    return f", at `{result.where}`" if result.where else ""


def _look_for_the_client(server: sl.Listener) -> None:
    """The function has to have connected, and to have closed its end."""
    if not somebody_waits(server):
        raise Wrong('Your function said `"connected"`, but no client came. Does it really call `connect`?')
    with server.accept(timeout=SECONDS) as accepted:
        try:
            accepted.recv_all(timeout=1)
        except TimeoutError:
            raise Wrong('Your function said `"connected"`, and left the connection open. Close it.') from None
        except OSError:
            pass  # RST: the client is gone too


reach = Exercise(
    "reach",
    expects=("reach",),
    hint=(
        "One `try`, and an `except` for each of `ConnectionRefusedError`, `TimeoutError` and `socket.gaierror`. Give `connect` a "
        "`timeout=`; `with sl.connect(...):` closes."
    ),
    solution="""
import socket

def reach(host, port):
    try:
        with sl.connect(host, port, timeout=1):
            return "connected"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timed out"
    except socket.gaierror:
        return "no such name"
""",
    judge=_judge_reach,
)


# ── keep_trying: a client that is started before its server ───────────────────────────────────────────────────────────

_PAUSES = 3  # the server starts in the third
_MOST_PAUSES = 20


class _Enough(BaseException):
    """Ends a function that pauses for ever. No OSError, so that ``except OSError`` lets it through."""


class _SlowStarter:
    """A server that starts in the third pause. Its port is bound from the beginning, so that nobody else can have it."""

    def __init__(self, stack: ExitStack) -> None:
        self.pauses = 0
        self._over = False
        self._socket = stack.enter_context(_bound())
        self.address = sl.Address(*self._socket.getsockname())

    def pause(self) -> None:
        """Given to the student's function."""
        if self._over or self.pauses == _MOST_PAUSES:
            raise _Enough
        self.pauses += 1
        if self.pauses == _PAUSES:
            self._socket.listen(_MOST_PAUSES)

    def release(self) -> None:
        """End every wait: who tries again and again without a pause is let in, who waits in a full queue is refused."""
        self._over = True
        if self.pauses >= _PAUSES:
            self._socket.close()
        else:
            self._socket.listen(1)

    def accept(self) -> sl.Address | None:
        """Who has connected; None if nobody has."""
        if self.pauses < _PAUSES:
            return None
        self._socket.settimeout(1)
        try:
            accepted, peer = self._socket.accept()
        except OSError:
            return None
        accepted.close()
        return sl.Address(*peer)


def _judge_keep_trying(function: object) -> str:
    called = callable_(function)
    with ExitStack() as stack:
        server = _SlowStarter(stack)
        result = run(called, server.address, server.pause, seconds=SECONDS, release=server.release)
        _compare_start(result, server)
        _refuse_to_repeat(called)
    return f"Your client was refused {_PAUSES} times, then the server listened, and it came. For a wrong name it did not try again."


def _compare_start(result: Run, server: _SlowStarter) -> None:
    if result.hung:
        late = f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}"
        if not server.pauses:
            raise Wrong(
                f"{late}, and never called `pause()`. The server starts in a pause, and a client that asks without one keeps a "
                "processor busy."
            )
        started = (
            "The server starts in the third." if server.pauses < _PAUSES else "The server has listened since the third."
        )
        raise Wrong(
            f"{late}; it had called `pause()` {server.pauses} times. {started} Return as soon as it is connected."
        )
    if isinstance(result.error, _Enough):
        raise Wrong(
            f"The server has listened since the third `pause()`, and your function called it {_MOST_PAUSES} times. Return as soon as it "
            "is connected."
        )
    if isinstance(result.error, ConnectionRefusedError):
        again = f"{server.pauses} times" if server.pauses else "not once"
        raise Wrong(
            f"Your function gave up, with ConnectionRefusedError; it had called `pause()` {again}. Go on until the server is there."
        )
    conn = value_of(result)
    peer = server.accept()
    if conn is None:
        raise Wrong("Your function returned None. Return the connection that it has made.")
    if not isinstance(conn, sl.Connection | socket.socket):
        raise Wrong(f"Your function returned {kind(conn)}. Return the connection that it has made.")
    here = conn.local_addr if isinstance(conn, sl.Connection) else _name_of(conn)
    shut = conn.closed if isinstance(conn, sl.Connection) else conn.fileno() < 0
    conn.close()
    if shut:
        raise Wrong("Your function closed the connection that it returned. Leave it open.")
    if peer is None or here != peer:
        raise Wrong(f"The connection that you returned does not lead to the server at `{server.address}`.")


def _name_of(conn: socket.socket) -> sl.Address | None:
    try:
        return sl.Address(*conn.getsockname()[:2])
    except OSError:
        return None


def _refuse_to_repeat(called: Callable[..., object]) -> None:
    """A name that has no address has none at the next try either: the error belongs to the caller."""
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        raise _Enough

    result = run(called, (_NO_NAME, 6666), pause, seconds=SECONDS, release=lambda: None)
    if pauses:
        raise Wrong(
            f"The server was found. But for the name `{_NO_NAME!r}`, which has no address, your function paused and would have tried "
            "again, for ever. Only `ConnectionRefusedError` says that a server may still come: catch that one alone."
        )
    if result.hung:
        raise Wrong(
            f"The server was found. But for the name `{_NO_NAME!r}` your function had not returned after {SECONDS:g} "
            f"seconds{waiting_place(result)}."
        )
    if not isinstance(result.error, socket.gaierror):
        what = "returned" if result.error is None else f"raised {type(result.error).__name__}"
        raise Wrong(
            f"The server was found. But for the name `{_NO_NAME!r}`, which has no address, your function {what}. That error is "
            "the caller's to see: let `socket.gaierror` through."
        )


keep_trying = Exercise(
    "keep_trying",
    expects=("keep_trying",),
    hint="A loop without an end, and in it `try: return sl.connect(address)`. Which one exception says that the server may still start?",
    solution="""
def keep_trying(address, pause):
    while True:
        try:
            return sl.connect(address)
        except ConnectionRefusedError:
            pause()

# A real client would give up at some time, too: count the tries, or look at the clock.
""",
    judge=_judge_keep_trying,
)
