"""The exercises of the notebook on ports in use. Every check looks at real sockets, takes a few seconds at most, and closes
what it opened; the student's own sockets are left as they were found.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import socklens as sl

from .bounded import run, value_of, waiting_place
from .exercise import Exercise, Wrong
from .prediction import Prediction

__all__ = ["clients_of", "is_listening", "new_sockets", "ports_of_three", "who_rests"]

SECONDS = 3.0  # the longest that one call of a student's function may take


# ── Predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────

new_sockets = Prediction(
    "new_sockets",
    question="One `connect`, and nobody accepts. How many sockets of TCP are new now?",
    choices={"a": "none, before `accept`", "b": "one, the client's", "c": "two"},
    observe=lambda change: "abc"[min(len(change.opened), 2)],
    why="Each end is a socket. The listener's kernel has made its own already, and keeps it in the accept queue.",
)

ports_of_three = Prediction(
    "ports_of_three",
    question="Three clients are connected to one listener. How many local ports does the server use for that?",
    choices={"a": "one", "b": "three, one for each client", "c": "four, with the listener's"},
    observe=lambda listener, ends: {1: "a", 3: "b"}.get(len({conn.local_addr.port for conn in (listener, *ends)}), "c"),
    why="The listener and all accepted sockets share it. Each client has a port of its own, and that tells the connections apart.",
)


def _who_rests(server: sl.Address, client: sl.Address) -> str:
    rows = [row for row in sl.ports(server.port) if row.state == sl.TcpState.TIME_WAIT]
    if any((row.local, row.peer) == (server, client) for row in rows):
        return "b"
    return "c" if any((row.local, row.peer) == (client, server) for row in rows) else "a"


who_rests = Prediction(
    "who_rests",
    question="The server closes its end first, then the client closes. What is left in the kernel's table?",
    choices={"a": "nothing", "b": "the server's end, in TIME_WAIT", "c": "the client's end, in TIME_WAIT"},
    observe=_who_rests,
    why="The side that sent its FIN first keeps the connection for a while, whether it is a server or a client.",
)


def _called(function: Callable[..., object], *arguments: object, release: Callable[[], object]) -> object:
    result = run(function, *arguments, seconds=SECONDS, release=release)
    if result.hung:
        raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
    return value_of(result)


def _callable(function: object) -> Callable[..., object]:
    if not callable(function):
        raise Wrong("Give the function itself, without calling it.")
    return function


# ── clients_of: who is connected to this port? ────────────────────────────────────────────────────────────────────────


def _judge_clients_of(function: object) -> str:
    called = _callable(function)
    with ExitStack() as stack:
        listener = stack.enter_context(sl.listen(backlog=8))
        elsewhere = stack.enter_context(sl.listen())
        port = listener.local_addr.port
        stack.enter_context(sl.connect(elsewhere.local_addr, timeout=SECONDS))
        for count in (0, 1, 3):
            expected = set()
            for _ in range(count):
                client = stack.enter_context(sl.connect(listener.local_addr, timeout=SECONDS))
                stack.enter_context(listener.accept(timeout=SECONDS))
                expected.add(client.local_addr)
            expected |= {conn.peer_addr for conn in listener.connections}
            _compare_clients(_called(called, port, release=stack.close), expected, listener.local_addr)
    return "No client, one, and four: your function found the address of each, and nobody else's."


def _compare_clients(answer: object, expected: set[sl.Address], listener: sl.Address) -> None:
    if answer is None:
        raise Wrong("Your function returned None. Does every way through it return?")
    if not isinstance(answer, list | tuple | set | frozenset):
        raise Wrong(f"Your function returned {type(answer).__name__}; a list of addresses was asked for.")
    found = list(answer)
    if any(address is None for address in found):
        raise Wrong("There is a None in your list: a listener has no peer. Leave the row of the listener out.")
    if listener in found:
        raise Wrong(
            f"`{listener}` is in your list: that is the server's end. Take rows whose *local* port it is, and of those the peer."
        )
    if len(found) != len(expected) or set(found) != expected:
        raise Wrong(f"{len(expected)} clients are connected, and your list has {len(found)}: {_shown(found)}.")


def _shown(found: list[object]) -> str:
    return ", ".join(f"`{address}`" for address in found[:4]) + (" …" if len(found) > 4 else "") if found else "nothing"


clients_of = Exercise(
    "clients_of",
    expects=("clients_of",),
    hint="`sl.ports(port)` has both ends of each connection, and the listener. `row.role` tells them apart.",
    solution="""
def clients_of(port):
    return [row.peer for row in sl.ports(port) if row.role == "accepted" and row.local.port == port]
""",
    judge=_judge_clients_of,
)


# ── is_listening: would a connect to this endpoint find somebody? ─────────────────────────────────────────────────────


def _judge_is_listening(function: object) -> str:
    called = _callable(function)
    with ExitStack() as stack:
        one = stack.enter_context(sl.listen())
        every = stack.enter_context(sl.listen("0.0.0.0"))
        gone = sl.listen()
        client = stack.enter_context(sl.connect(gone.local_addr, timeout=SECONDS))
        stack.enter_context(gone.accept(timeout=SECONDS))
        gone.close()
        for port, right, why in (
            (one.local_addr.port, True, "a listener has it"),
            (gone.local_addr.port, False, "its listener is closed; only an accepted connection is left on that port"),
            (client.local_addr.port, False, "a client connects *from* that port, and nobody listens there"),
            (every.local_addr.port, True, "a listener on `0.0.0.0` has the port on every address"),
        ):
            answer = _called(called, port, release=stack.close)
            if answer is None:
                raise Wrong("Your function returned None. Does every way through it return?")
            if bool(answer) is not right:
                raise Wrong(f"For one port your function said {bool(answer)}, but {why}.")
    return "A listener, a listener on all addresses, a closed one and a client's port: all four right."


is_listening = Exercise(
    "is_listening",
    expects=("is_listening",),
    hint='`sl.ports(port, state="LISTEN")` may still be about the other end of a connection; `row.local.port` is what counts.',
    solution="""
def is_listening(port):
    return any(row.local.port == port for row in sl.ports(state="LISTEN"))
""",
    judge=_judge_is_listening,
)
