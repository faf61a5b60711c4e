"""The promise: nothing that happens in a program under check happens in the check's own process, and nothing of the program outlives it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import unittest.mock
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import socklens as sl
from checked import Program, fails, passes
from helpers import eventually, lacking
from refusals import refused
from socklens.check import Mistake, Outcome

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

linux = pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")


# The fork

INTERRUPTED = """
import os, signal, sys, threading
from socklens import check

def server(port):
    threading.Event().wait()

def interrupts_itself(pid):
    if pid == 0:
        signal.raise_signal(signal.SIGINT)
    return pid

fork, me = os.fork, os.getpid()
WAY
try:
    result = check.echo_server(server, timeout=1)
    print("checked:", result.reason, result.output)
finally:
    if os.getpid() != me:
        print("the caller's code goes on in the child")
    sys.stdout.flush()
"""


@pytest.mark.parametrize(
    "way",
    [
        "os.fork = lambda: interrupts_itself(fork())",
        "os.register_at_fork(after_in_child=lambda: signal.raise_signal(signal.SIGINT))",
    ],
    ids=["after fork", "inside of fork"],
)
def test_a_ctrl_c_that_meets_the_child_does_not_make_it_go_on_as_the_caller(way: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.replace("WAY", way)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("checked: Nothing listens") == 1
    assert "goes on in the child" not in ran.stdout
    assert "KeyboardInterrupt" not in ran.stdout + ran.stderr, "it was not meant for the child"


def test_a_fork_leaves_the_filters_of_warnings_as_other_threads_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def meanwhile() -> int:
        warnings.filterwarnings("ignore", "of another thread")
        return fork()

    with warnings.catch_warnings():
        before = list(warnings.filters)
        monkeypatch.setattr(os, "fork", meanwhile)
        for _ in range(2):
            assert sl.check.client(returning(1), DIALOGUE)
        added = [one for one in warnings.filters if one not in before]
        messages = sorted(one[1].pattern for one in added if one[1] is not None)
        assert messages == [".*use of fork", "of another thread"]
        assert len(added) == 2


# What the child tells


def pipes() -> dict[int, str]:
    found = {}
    for number in range(3, 64):
        with contextlib.suppress(OSError):
            if (name := os.readlink(f"/proc/self/fd/{number}")).startswith("pipe:"):
                found[number] = name
    return found


def write_everywhere(data: bytes, not_to: dict[int, str]) -> None:
    """To all pipes but those of this list: pytest's own."""
    for number, name in pipes().items():
        if name not in not_to.values():
            with contextlib.suppress(OSError):
                os.write(number, data)


def echo(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data)


def serve(host: str, port: int) -> None:
    sl.Server(echo, host, port).start().join()


ENDED = {"status": None, "error": "", "line": "", "exit_called": False}
LINES = [
    ["ended", 5],
    ["ended", {}],
    ["ended", {"error": "ValueError: forged", "status": "x", "line": 7, "exit_called": 1}],
    ["ended", {**ENDED, "error": "ValueError: forged"}],
    ["trouble", {**ENDED, "error": 5}],
    ["trouble", [1]],
    ["listens", "80"],
    ["listens", -1],
    ["returned", {"equal": True}],
    ["value", {"equal": True, "repr": 5}],
    [["ended"], ENDED],
    {"ended": ENDED},
    None,
]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["lines", "half lines"])
def test_what_a_program_writes_where_it_is_told_says_nothing(end: bytes) -> None:
    forged = b"".join(json.dumps(line).encode() + end for line in LINES) + b"[" * 100_000 + end

    theirs = pipes()

    def forges(host: str, port: int) -> None:
        write_everywhere(forged[:60_000], theirs)  # what a pipe has room for
        serve(host, port)

    def forges_and_raises(host: str, port: int) -> None:
        write_everywhere(forged[:30_000], theirs)
        raise KeyError("mine")

    passes(sl.check.echo_server(forges))
    fails(sl.check.echo_server(forges_and_raises), Mistake.RAISES, "KeyError: 'mine'")


def test_lines_of_a_wrong_shape_are_not_believed_even_from_the_child_itself() -> None:
    from socklens.check._telling import Telling

    here, there = os.pipe()
    try:
        os.set_blocking(here, False)
        telling = Telling()
        tell = telling.to(there)
        for line in LINES:
            if isinstance(line, list) and line[0] != "ended":
                os.write(there, b"\n" + telling._token + json.dumps(line).encode() + b"\n")
        os.write(there, b"\n" + telling._token + b"not JSON\n" + telling._token + b"[" * 10_000 + b"\nhalf a line")
        tell("listens", 4711)
        telling.take(here)
        assert telling.listens == 4711
        assert (telling.ended, telling.returned, telling.troubles) == (None, None, [])
    finally:
        os.close(here)
        os.close(there)


def test_who_writes_there_without_end_is_bounded() -> None:
    theirs = pipes()

    def floods(port: int) -> None:
        while True:
            write_everywhere(b"x" * 65536, theirs)

    fails(sl.check.echo_server(floods, timeout=2), Mistake.NEVER_LISTENS)


def test_who_has_closed_what_was_not_its_own_is_checked_all_the_same() -> None:
    def closes(host: str, port: int) -> None:
        os.closerange(3, 256)
        serve(host, port)

    def closes_and_raises(host: str, port: int) -> None:
        os.closerange(3, 256)
        raise KeyError("mine")

    passes(sl.check.echo_server(closes))
    result = sl.check.echo_server(closes_and_raises)
    fails(result, Mistake.NEVER_LISTENS, "ended with status 1")
    assert result.output.endswith("KeyError: 'mine'\n")


@linux
def test_nothing_is_told_where_the_programs_own_socket_has_come_in_the_pipes_place() -> None:
    def takes_all_numbers(host: str, port: int) -> None:
        os.closerange(3, 256)
        with socket.create_server((host, port)) as listener:
            conn = listener.accept()[0]
        numbers = [conn.dup() for _ in range(64)]
        conn.recv(100)
        raise KeyError(len(numbers))

    fails(sl.check.echo_server(takes_all_numbers), Mistake.EXITS, "ended with status 1")


# What a client returns

DIALOGUE = [(b"time?\n", b"12:30\n")]


class EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("shows nothing")


class Bytes(bytes):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = bytes.__hash__


class EqualTypes(type):
    def __eq__(cls, other: object) -> bool:
        return other is vars(cls).get("mistaken_for", other)

    __hash__ = type.__hash__


class AnyKind(EqualToAll, metaclass=EqualTypes):
    pass


class AnyList(list[object], metaclass=EqualTypes):
    mistaken_for = list


class AnySet(set[object], metaclass=EqualTypes):
    mistaken_for = frozenset


class AnyDict(dict[object, object], metaclass=EqualTypes):
    mistaken_for = dict


def returning(value: object) -> Program:
    def ask(conn: sl.Connection) -> object:
        conn.sendall(b"time?\n")
        conn.recv_line()
        return value

    return ask


@pytest.mark.parametrize(
    ("value", "wanted", "words"),
    [
        (unittest.mock.ANY, b"12:30\n", "an object of type _ANY, not bytes"),
        (EqualToAll(), None, "an object of type EqualToAll, not NoneType"),
        (Bytes(b"no"), b"12:30\n", "an object of type Bytes, not bytes"),
        ([1, EqualToAll()], [1, 2], "a list with an object of type EqualToAll in it"),
        ({"a": unittest.mock.ANY}, {"a": 1}, "a dict with an object of type _ANY in it"),
        (AnyKind(), b"12:30\n", "an object of type AnyKind, not bytes"),
        ([AnyKind()], [b"12:30\n"], "a list with an object of type AnyKind in it"),
        (AnyList(), [], "an object of type AnyList, not list"),
        ((AnyList(),), ([],), "a tuple with an object of type AnyList in it"),
        (AnySet(), frozenset(), "an object of type AnySet, not frozenset"),
        ([AnyDict()], [{}], "a list with an object of type AnyDict in it"),
        ("12:30", b"12:30", "an object of type str, not bytes"),
        (True, 1, "an object of type bool, not int"),
        ([1, True], [1, 1], "something else"),
        ((1, 2), [1, 2], "an object of type tuple, not list"),
        (None, b"12:30", "something else"),
        (10**5000, 5, "something else"),
        (5, 10**5000, "something else"),
    ],
    ids=map(str, range(18)),
)
def test_a_value_is_what_it_should_be_only_by_its_own_types(value: object, wanted: object, words: str) -> None:
    fails(sl.check.client(returning(value), DIALOGUE, returns=wanted), None, f"and it returned {words}")


@pytest.mark.parametrize(
    "value",
    [None, 1.5, "12:30", [1, (2, b"3"), {"a": {4}}], {1: [bytearray(b"x")]}, frozenset({(1, 2)}), 10**5000],
    ids=map(str, range(7)),
)
def test_plain_values_that_are_equal_pass(value: object) -> None:
    passes(sl.check.client(returning(value), DIALOGUE, returns=value))


def test_what_a_function_has_to_return_is_plain() -> None:
    refused(TypeError, ["plain types", "_ANY"], sl.check.client, returning(1), DIALOGUE, returns=[unittest.mock.ANY])


# The end


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def daemon(told: int, leave: str) -> None:
    """As daemons are made: two forks with a session between, and nothing kept open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(told, f"{os.getpid()} ".encode())
            os.closerange(0, 256)
            if leave == "exec":
                os.execlp("sleep", "sleep", "600")
            threading.Event().wait()
        os._exit(0)


@linux
@pytest.mark.parametrize("leave", ["fork", "exec"])
@pytest.mark.parametrize("leader", ["stays", "ends"])
def test_a_daemon_does_not_outlive_the_check(tmp_path: Path, leave: str, leader: str) -> None:
    told = tmp_path / "pid"

    def daemonizes(port: int) -> None:
        with told.open("wb", buffering=0) as file:
            daemon(file.fileno(), leave)
            os.wait()
            while not told.read_bytes():
                time.sleep(0.001)
        if leader == "ends":
            os._exit(0)
        threading.Event().wait()

    fails(sl.check.echo_server(daemonizes, timeout=2), Mistake.NEVER_LISTENS)
    eventually(lambda: not runs(int(told.read_bytes())))


@linux
def test_a_commands_daemon_does_not_outlive_the_check(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {told}; sleep 600' >/dev/null 2>&1 & wait"
    fails(sl.check.echo_server(["sh", "-c", script, "{port}"], timeout=2), Mistake.NEVER_LISTENS)
    eventually(lambda: not runs(int(told.read_text())))


def test_no_number_is_signalled_that_may_be_another_process_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    reaped: set[int] = set()
    sent: list[int] = []
    waitpid, kill, killpg = os.waitpid, os.kill, os.killpg

    def wait(pid: int, options: int) -> tuple[int, int]:
        found = waitpid(pid, options)
        reaped.add(found[0])
        return found

    def signals(send: Program) -> Program:
        def checked(pid: int, number: int) -> None:
            assert pid not in reaped
            sent.append(pid)
            send(pid, number)

        return checked

    monkeypatch.setattr(os, "waitpid", wait)
    monkeypatch.setattr(os, "kill", signals(kill))
    monkeypatch.setattr(os, "killpg", signals(killpg))

    def ends_at_once(port: int) -> None:
        os._exit(3)

    for target in (ends_at_once, "false {port}", serve):
        assert sl.check.echo_server(target, timeout=20).passed is (target is serve)
    assert len(reaped - {0}) == 3
    assert set(sent) == reaped - {0}


@pytest.mark.parametrize("target", [serve, "sleep 600 {port}"], ids=["function", "command"])
def test_where_no_thread_can_be_started_nothing_is_left(monkeypatch: pytest.MonkeyPatch, target: Program) -> None:
    start = threading.Thread.start
    begun = []

    def cannot(thread: threading.Thread) -> None:
        if thread.name == "socklens: output of a check":
            begun.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", cannot)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        sl.check.echo_server(target)
    assert len(begun) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# The port


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_anybody_elses_listener_is_not_taken_for_the_programs(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    def ends(port: int) -> None:
        raise OSError(errno.EADDRINUSE, "taken")

    def hangs(port: int) -> None:
        threading.Event().wait()

    with sl.Server(echo, host, 0) as server:
        where = sl.Address("127.0.0.1", server.local_addr.port)
        monkeypatch.setattr("socklens.check._program.free_address", lambda: where)
        for target in (hangs, "sleep 600 {port}"):
            result = sl.check.echo_server(target, timeout=2)
            fails(
                result, None, f"nothing of it listens on {where}", f"(process {os.getpid()}), which the check has not"
            )
        fails(sl.check.echo_server(ends), None, "it raised OSError", "which the check has not started")


@linux
def test_a_daemons_listener_is_the_programs() -> None:
    def daemonizes(host: str, port: int) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                serve(host, port)
        os.wait()

    result = sl.check.echo_server(daemonizes)
    fails(result, Mistake.KEEPS_THE_PORT, "is still taken")
    assert [step.outcome for step in result.steps[:-1]] == [Outcome.PASSED] * (len(result.steps) - 1)


def test_a_free_port_is_none_with_connections_in_time_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from socklens import _free_port

    with sl.listen() as listener, sl.connect(listener.local_addr) as client, listener.accept() as served:
        served.close()
        assert client.recv() == b""
        port = listener.local_addr.port
    free = _free_port.free_port()
    monkeypatch.setattr(_free_port._BY_CHANCE, "sample", lambda ports, count: [port, free])
    assert _free_port.free_port() == free


def test_a_free_port_takes_none_of_the_programs_random_numbers() -> None:
    from socklens import _free_port

    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)
    _free_port.free_port()
    assert [random.random() for _ in range(3)] == expected


# The other end


@linux
def test_the_other_end_of_a_connection_is_known_by_all_four_of_its_tuple() -> None:
    from socklens.check._kernel import other_end

    with contextlib.ExitStack() as stack:
        ends = []
        port, source = 0, 0
        for host, sent in (("127.0.0.1", b"12345"), ("127.0.0.2", b"1234567")):
            listener = stack.enter_context(sl.listen(host, port))
            port = listener.local_addr.port
            client = stack.enter_context(sl.connect(listener.local_addr, source=(host, source)))
            source = client.local_addr.port
            stack.enter_context(listener.accept(timeout=5))
            client.sendall(sent)
            ends.append((client, len(sent)))
        for client, size in ends:
            end = other_end(client.local_addr, client.peer_addr)
            assert end is not None
            assert end.unread == size


@linux
def test_the_other_end_may_be_a_socket_of_ipv6() -> None:
    from socklens.check._kernel import other_end

    if not socket.has_dualstack_ipv6():
        lacking("IPv6 is off here")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        client = stack.enter_context(sl.connect("127.0.0.1", listener.getsockname()[1]))
        end = other_end(client.local_addr, client.peer_addr)
        assert end is not None
        assert not end.accepted


# Mistakes that are not named


@linux
def test_a_handler_that_forks_does_not_ignore_what_send_returns() -> None:
    def forks(conn: sl.Connection) -> None:
        os.fork()
        while data := conn.recv(4096):
            conn.sendall(data)

    result = sl.check.echo_server(forks)
    assert not result
    assert result.mistake is not Mistake.SEND_IGNORED, repr(result)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("says nothing")


def test_an_exception_without_a_text_is_named_all_the_same() -> None:
    def program(port: int) -> None:
        raise Silent

    def handler(conn: sl.Connection) -> None:
        conn.recv()
        raise Silent

    for target in (program, handler):
        fails(sl.check.echo_server(target), Mistake.RAISES, "raised Silent, whose text cannot be told", "RuntimeError")


def test_a_status_is_the_programs_own() -> None:
    def exits_with(status: int) -> Program:
        return lambda port: sys.exit(status)

    for status, told in ((70, 70), (-1, 255), (1 << 40, 0), (10**5000, 0)):
        fails(sl.check.echo_server(exits_with(status)), Mistake.NEVER_LISTENS, f"ended with status {told}, at")
    fails(sl.check.echo_server(lambda port: os._exit(70)), Mistake.NEVER_LISTENS, "ended with status 70.")


def test_what_fails_in_the_check_is_no_mistake_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from socklens.check import _child

    def broken(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(_child, "_leave_sockets", broken)
    for check in (sl.check.echo_server, sl.check.chat_server):
        fails(check(serve), None, "could not be run by the check", "no descriptor is left")
    fails(sl.check.client(returning(1), DIALOGUE), None, "could not be run by the check")


# Memory


def takes_all(port: int) -> None:
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def takes_all_for_a_client(conn: sl.Connection) -> None:
    conn.recv()
    takes_all(0)


@linux
@pytest.mark.parametrize("target", [takes_all, takes_all_for_a_client])
def test_who_takes_all_memory_is_stopped_and_told_so(monkeypatch: pytest.MonkeyPatch, target: Program) -> None:
    # Less than it is, for the sake of the machine that runs this.
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    result = sl.check.echo_server(target)
    fails(result, Mistake.RAISES, "MemoryError: a check lets a program take 2 GiB of memory")


def takes_all_in_small_pieces(port: int) -> None:
    kept: list[object] = []
    while True:
        kept = [kept, bytes(400)]


@contextlib.contextmanager
def limited(kind: str, room: int) -> Iterator[int]:
    """A soft limit of memory on this process, which has so much less than it."""
    import resource

    number = getattr(resource, kind)
    field = {"RLIMIT_DATA": "VmData:", "RLIMIT_AS": "VmSize:"}[kind]
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    soft = next(int(line.split()[1]) << 10 for line in lines if line.startswith(field)) + room
    before = resource.getrlimit(number)
    resource.setrlimit(number, (soft, before[1]))
    try:
        yield soft
    finally:
        resource.setrlimit(number, before)


@linux
@pytest.mark.parametrize("kind", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_a_lower_limit_that_was_there_stays_and_is_told(kind: str) -> None:
    import resource

    def ask(conn: sl.Connection) -> int:
        conn.sendall(b"time?\n")
        conn.recv_line()
        return resource.getrlimit(getattr(resource, kind))[0]

    with limited(kind, 150 << 20) as soft:
        passes(sl.check.client(ask, DIALOGUE, returns=soft))
        for target in (takes_all, takes_all_in_small_pieces, takes_all_for_a_client):
            result = sl.check.echo_server(target)
            told = f"MemoryError: a limit from before the check lets this process have {soft >> 20:,} MiB ({kind})"
            fails(result, Mistake.RAISES, told)


@linux
def test_a_higher_limit_that_was_there_is_no_reason_to_leave_out_the_checks_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    with limited("RLIMIT_DATA", 1 << 30):
        fails(sl.check.echo_server(takes_all), Mistake.RAISES, "MemoryError: a check lets a program take 2 GiB")


@linux
def test_a_command_that_takes_all_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    code = "kept = []\nwhile True: kept.append(bytes(1_000_000) + b'x')"
    result = sl.check.echo_server([sys.executable, "-c", code, "{port}"])
    fails(result, None, "was ended: a check lets a program take 2 GiB of memory")


GROWS = """
import contextlib, socket, sys, threading
port, kind, last = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
listener = socket.create_server(("127.0.0.1", port), backlog=50)
clients = []
def serve(conn):
    rest = b""
    with conn, contextlib.suppress(OSError):
        while data := conn.recv(65536):
            whole = len(rest + data) if kind == "echo" else (rest + data).rfind(b"\\n") + 1
            said, rest = (rest + data)[:whole], (rest + data)[whole:]
            for one in tuple(clients) if kind == "chat" else (conn,):
                with contextlib.suppress(OSError):
                    one.sendall(said)
    clients.remove(conn)
for _ in range(last):
    clients.append(listener.accept()[0])
    threading.Thread(target=serve, args=clients[-1:], daemon=True).start()
kept = []
while True:
    kept.append(bytes(1_000_000) + b"x")
"""


@linux
@pytest.mark.parametrize("kind", ["echo", "line", "chat"])
@pytest.mark.parametrize("client", [1, 3, 4, 20])
def test_a_program_that_the_check_has_ended_has_made_no_mistake(
    monkeypatch: pytest.MonkeyPatch, kind: str, client: int
) -> None:
    monkeypatch.setattr("socklens.check._memory.ROOM", 256 << 20)
    check = getattr(sl.check, f"{kind}_server")
    result = check([sys.executable, "-c", GROWS, "{port}", kind, str(client)])
    fails(result, None, "was ended: a check lets a program take 2 GiB of memory")


PREFORK = """
import os, socket, sys, threading
known = bytearray(os.urandom(1 << 20)) * 100
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=50)
def serve(conn):
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.close()
for _ in range(7):
    if os.fork() == 0:
        break
while True:
    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""


@linux
def test_what_processes_share_is_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from socklens.check import _memory

    monkeypatch.setattr(_memory, "ROOM", 500 << 20)
    shares: list[int] = []
    share = _memory._share

    def seen(pid: int) -> int:
        shares.append(share(pid))
        return shares[-1]

    monkeypatch.setattr(_memory, "_share", seen)
    result = sl.check.echo_server([sys.executable, "-c", PREFORK, "{port}"])
    assert len(shares) >= 8, "the sum alone was too much"
    assert max(shares) < 500 << 20
    passes(result)


@linux
def test_fifty_clients_with_threads_of_their_own_have_room() -> None:
    def two_threads(conn: sl.Connection) -> None:
        other = threading.Thread(target=echo, args=(conn,))
        other.start()
        other.join()

    passes(sl.check.echo_server(two_threads))
