"""The promise: nothing that happens in a program under check happens in the check's own process, and nothing of the program outlives it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import socklens as sl
from checked import DIALOGUE, Program, echo, fails, returning, serve
from helpers import eventually, lacking
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
