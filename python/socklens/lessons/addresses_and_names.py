"""The predictions and exercises of the notebook on addresses, ports and names, and the other address that it plays with. Every check
looks at real sockets of this machine, takes a few seconds at most, and closes what it opened.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack

import socklens as sl

from .bounded import run, value_of, waiting_place
from .exercise import Exercise, NotAttempted, Wrong
from .judging import callable_, kind
from .prediction import Prediction

__all__ = [
    "by_name",
    "client_port",
    "elsewhere",
    "endpoint_of",
    "everywhere",
    "other_address",
    "reachable_at",
    "twins",
]

SECONDS = 3.0  # the longest that one call of a student's function may take
LOOPBACK = "127.0.0.1"
_ANY = ("0.0.0.0", "::")


def other_address() -> str:
    """An IPv4 address of this machine that is not 127.0.0.1, printed with what it is.

    127.0.0.2 where all of 127.0.0.0/8 belongs to the loopback interface (Linux, Windows); else the first address of another interface.
    A machine without one (macOS, connected to no network) has 127.0.0.1 alone, and plays the other part with it too.
    """
    if _is_local("127.0.0.2"):
        print("127.0.0.2 is another address of this machine's loopback interface.")
        return "127.0.0.2"
    for row in sl.addresses():
        if row.kind != "all" and ":" not in row.host and row.host != LOOPBACK and _is_local(row.host):
            print(f"{row.host} is another address of this machine, of its interface {row.interface}.")
            return row.host
    print(f"This machine has no IPv4 address but {LOOPBACK} now: connect it to a network to see the difference.")
    return LOOPBACK


def _is_local(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _connected_elsewhere(outcome: object) -> str:
    if isinstance(outcome, sl.Connection):
        if outcome.peer_addr.host == LOOPBACK:
            raise LookupError("this machine has only one IPv4 address")
        return "a"
    if isinstance(outcome, ConnectionRefusedError):
        return "b"
    raise TypeError(f"this is {kind(outcome)}: {outcome}")


elsewhere = Prediction(
    "elsewhere",
    question="`listener` listens on 127.0.0.1. A client of the same machine connects to the same port of `other`. What happens?",
    choices={"a": "it connects: both are addresses of this machine", "b": "it is refused: nobody listens there"},
    observe=_connected_elsewhere,
    why="A listener has the one address that it was given. 127.0.0.1 is not all of the machine.",
)


def _reached(listener: sl.Listener, accepted: list[sl.Connection]) -> str:
    if listener.local_addr.host not in _ANY:
        raise LookupError(f"the listener has the address {listener.local_addr.host}")
    return "a" if {conn.local_addr.host for conn in accepted} == {LOOPBACK} else "b"


everywhere = Prediction(
    "everywhere",
    question="A listener on 0.0.0.0: two clients connect to its port, one at 127.0.0.1, one at `other`. Which of them gets through?",
    choices={"a": "only the one at 127.0.0.1", "b": "both", "c": "none: 0.0.0.0 is no address of this machine"},
    observe=_reached,
    why="0.0.0.0 stands for every IPv4 address of this machine. An accepted socket has the one that its client connected to.",
)


def _shared(first: sl.Listener, second: object) -> str:
    if isinstance(second, OSError):
        return "b"
    if not isinstance(second, sl.Listener) or second.closed or first.closed:
        raise TypeError("two open listeners, or the error, are needed")
    if first.local_addr.port != second.local_addr.port:
        raise LookupError("they have two different ports")
    return "a"


twins = Prediction(
    "twins",
    question="`listener` has its port at 127.0.0.1. Can a second listener have the same port at `other`?",
    choices={"a": "yes, at the same time", "b": "no: the port is in use"},
    observe=_shared,
    why="An endpoint is an address and a port, and these are two. A port number alone names nothing.",
)


def _whose_port(client: sl.Connection) -> str:
    return "a" if client.local_addr.port == client.peer_addr.port else "b"


client_port = Prediction(
    "client_port",
    question="A client connects to `listener`. Which port has the client's own end?",
    choices={
        "a": "the listener's port",
        "b": "another one, which the kernel picks",
        "c": "none: only servers have ports",
    },
    observe=_whose_port,
    why=(
        "Both ends have an endpoint. The client knows the server's port beforehand; its own is any free one, an ephemeral port, "
        "and the server learns it from the connection."
    ),
)


def _came_by_name(outcome: object) -> str:
    if isinstance(outcome, OSError):
        return "b"
    if not isinstance(outcome, sl.Connection):
        raise TypeError(f"this is {kind(outcome)}")
    return "a"


by_name = Prediction(
    "by_name",
    question="`listener` listens on 127.0.0.1 alone. Does `sl.connect` reach it by the name `localhost`, also where that is ::1 first?",
    choices={"a": "yes", "b": "no"},
    observe=_came_by_name,
    why="`connect` tries the addresses of a name in turn, until one answers. The connection has the address; the name is not part of it.",
)


# ── reachable_at: where do clients reach a listener? ──────────────────────────────────────────────────────────────────


def _judge_reachable_at(function: object) -> str:
    called = callable_(function)
    own = [row.host for row in sl.addresses() if row.kind != "all"]
    judged = []
    for host in (LOOPBACK, "127.0.0.2", "0.0.0.0", "::1", "::"):
        with ExitStack() as stack:
            try:
                listener = stack.enter_context(sl.listen(host))
            except OSError:
                continue  # no such address here: 127.0.0.2 on macOS, IPv6 where it is switched off
            right = [address for address in dict.fromkeys([*own, host]) if _answers(address, listener)]
            result = run(called, host, seconds=SECONDS, release=stack.close)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            _compare_hosts(value_of(result), right, host)
        judged.append(f"`{host}`")
    return (
        f"For listeners on {', '.join(judged)}: clients got through at the addresses that you named, and at no other."
    )


def _answers(address: str, listener: sl.Listener) -> bool:
    """Whether a client that connects to this address reaches the listener."""
    if address in _ANY:  # not an address to connect to, though some systems take it for loopback
        return False
    try:
        with sl.connect(address, listener.local_addr.port, timeout=1) as client, listener.accept(timeout=1) as accepted:
            return accepted.peer_addr == client.local_addr
    except OSError:
        return False


def _compare_hosts(answer: object, right: list[str], host: str) -> None:
    there = f"For a listener on `{host}` your function returned"
    if answer is None:
        raise Wrong(f"{there} None. Does every way through it return?")
    if isinstance(answer, str):
        raise Wrong(f"{there} text, `{answer!r}`. Return a list, also if it has one address.")
    if not isinstance(answer, list | tuple | set | frozenset):
        raise Wrong(f"{there} {kind(answer)}. Return a list of addresses.")
    if any(address is ... for address in answer):
        raise NotAttempted
    for address in answer:
        if not isinstance(address, str):
            raise Wrong(f"{there} a list with {kind(address)} in it. An address is text here: `row.host`.")
        if address in _ANY:
            raise Wrong(f"{there} `{address}` among others: that means all addresses, and is none to connect to.")
        if address not in right:
            raise Wrong(
                f"{there} `{address}`, but a client that connected there was refused. {_why_not(address, host)}"
            )
    missing = [address for address in right if address not in answer]
    if missing:
        more = " No table has it: it belongs to loopback with all of 127.0.0.0/8." if missing == ["127.0.0.2"] else ""
        raise Wrong(f"A listener on `{host}` was reached at `{missing[0]}` too, and your list does not have it.{more}")


def _why_not(address: str, host: str) -> str:
    if host not in _ANY:
        return f"This listener has one address, `{host}`."
    if (":" in address) != (":" in host):
        return f"`{host}` stands for all of {_family(host)}, and this is {_family(address)}."
    return f"`{host}` stands for this machine's own addresses."


def _family(host: str) -> str:
    return "IPv6" if ":" in host else "IPv4"


reachable_at = Exercise(
    "reachable_at",
    expects=("reachable_at",),
    hint=(
        "There are three cases: `0.0.0.0`, `::`, and everything else, which is one address. The rows of `sl.addresses()` have "
        "`.host` and `.kind`; an IPv6 address has colons."
    ),
    solution="""
def reachable_at(host):
    own = [row.host for row in sl.addresses() if row.kind != "all"]
    if host == "0.0.0.0":
        return [address for address in own if ":" not in address]
    if host == "::":
        return [address for address in own if ":" in address]
    return [host]
""",
    judge=_judge_reachable_at,
)


# ── endpoint_of: six bytes in network byte order ──────────────────────────────────────────────────────────────────────


def _judge_endpoint_of(function: object) -> str:
    called = callable_(function)
    reached = []
    with ExitStack() as stack:
        hosts = [host for host in (LOOPBACK, "127.0.0.2") if _is_local(host)]
        for listener in (stack.enter_context(_lopsided(host)) for host in hosts):
            there = listener.local_addr
            data = socket.inet_aton(there.host) + there.port.to_bytes(2, "big")
            result = run(called, data, seconds=SECONDS, release=stack.close)
            if result.hung:
                raise Wrong(f"Your function had not returned after {SECONDS:g} seconds{waiting_place(result)}.")
            answer = value_of(result)
            _compare_endpoint(answer, there, data)
            assert isinstance(answer, tuple)
            with sl.connect(answer, timeout=SECONDS), listener.accept(timeout=SECONDS):
                reached.append(f"`{there}`")
    return f"A client connected to what you returned, and reached the server: {' and '.join(reached)}."


def _lopsided(host: str) -> sl.Listener:
    """A listener on a free port whose two bytes differ, so that their order matters."""
    listener = sl.listen(host)
    port = listener.local_addr.port
    if port >> 8 != port & 0xFF:
        return listener
    with listener:
        return sl.listen(host)


def _compare_endpoint(answer: object, there: sl.Address, data: bytes) -> None:
    got = f"From `{data!r}` your function made"
    if answer is None:
        raise Wrong("Your function returned None. Return the endpoint.")
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Wrong(f"{got} {kind(answer)}. Return address and port: `sl.Address(host, port)`.")
    host, port = answer
    if host is ... or port is ...:
        raise NotAttempted
    if not isinstance(host, str):
        raise Wrong(f"{got} an endpoint whose address is {kind(host)}. It is written as text: `127.0.0.1`.")
    if not isinstance(port, int):
        raise Wrong(f"{got} an endpoint whose port is {kind(port)}. A port is a number.")
    if host == ".".join(reversed(there.host.split("."))):
        raise Wrong(f"{got} the address `{host}`: its four bytes are the other way round.")
    if host != there.host:
        raise Wrong(f"{got} the address `{host}`, but the first four bytes are {', '.join(map(str, data[:4]))}.")
    if port == int.from_bytes(data[4:], "little"):
        raise Wrong(
            f"{got} the port {port:,}, but the server listens on {there.port:,}. You took the last byte for the more "
            "significant one; in network byte order it is the first."
        )
    if port != there.port:
        raise Wrong(
            f"{got} the port {port:,}, but the server listens on {there.port:,}: the last two bytes, {data[4]} and {data[5]}, "
            f"are {data[4]} · 256 + {data[5]}."
        )


endpoint_of = Exercise(
    "endpoint_of",
    expects=("endpoint_of",),
    hint='A slice of bytes is bytes, one element is a number: `data[0]` is 127. `int.from_bytes(data[4:], "big")` reads a number.',
    solution="""
def endpoint_of(data):
    host = ".".join(str(byte) for byte in data[:4])
    port = int.from_bytes(data[4:], "big")      # or data[4] * 256 + data[5]
    return sl.Address(host, port)

# socket.inet_ntoa(data[:4]) makes the text of the address, struct.unpack("!H", data[4:]) the number of the port.
""",
    judge=_judge_endpoint_of,
)
