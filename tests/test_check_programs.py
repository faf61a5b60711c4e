"""The promise: whatever a student's program does, the check comes to an end in time, says so, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import socklens as sl
from checked import Program, fails, passes
from helpers import eventually
from refusals import refused
from socklens.check import Mistake, Outcome
from socklens.check._target import Command, Function, Running, read

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


class Strange(BaseException):
    """No Exception."""


def hangs(port: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Event().wait()


def computes_for_ever(port: int) -> None:
    while True:
        pass


def exits(port: int) -> None:
    sys.exit("no more")


def exits_at_once(port: int) -> None:
    os._exit(7)


def kills_itself(port: int) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def raises_strangely(port: int) -> None:
    raise Strange("\x1b[31m<b>")


def asks_the_keyboard(port: int) -> None:
    input("Port? ")


def prints_without_end(port: int) -> None:
    while True:
        print("x" * 1000)


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (hangs, Mistake.NEVER_LISTENS, "nothing listens"),
        (computes_for_ever, Mistake.NEVER_LISTENS, "nothing listens"),
        (exits, Mistake.NEVER_LISTENS, "ended with status 1, at `sys.exit"),
        (exits_at_once, Mistake.NEVER_LISTENS, "ended with status 7"),
        (kills_itself, Mistake.NEVER_LISTENS, "was ended by SIGSEGV"),
        (raises_strangely, Mistake.RAISES, "raised Strange"),
        (asks_the_keyboard, Mistake.RAISES, "has no keyboard"),
        (prints_without_end, Mistake.NEVER_LISTENS, "nothing listens"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_program_does_is_survived(program: Program, mistake: Mistake, fragment: str) -> None:
    result = sl.check.echo_server(program, timeout=3)
    fails(result, mistake, fragment)
    assert result.seconds < 15
    assert "\x1b" not in repr(result)
    assert "<b>" not in result._repr_html_()
    assert len(result.output) < 10_000


def exits_in_a_handler(conn: sl.Connection) -> None:
    conn.recv()
    sys.exit(3)


def ends_all_in_a_handler(conn: sl.Connection) -> None:
    conn.recv()
    os._exit(3)


@pytest.mark.parametrize("program", [exits_in_a_handler, ends_all_in_a_handler], ids=lambda program: program.__name__)
def test_what_a_handler_does_is_survived(program: Program) -> None:
    fails(sl.check.echo_server(program), Mistake.EXITS, "ended with status 3")


def test_what_it_prints_is_shown_with_the_failure() -> None:
    def chatters(conn: sl.Connection) -> None:
        print("got", conn.recv())
        os.write(2, b"and more\n")

    result = sl.check.echo_server(chatters)
    fails(result, Mistake.CLOSES_EARLY)
    assert result.output == "got b'hello'\nand more\n"
    assert "got b'hello'" in repr(result)
    assert "and more" in result._repr_html_()


def test_all_of_a_process_group_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = f"trap '' TERM; sleep 60 & echo $! > {told}; wait; sleep 60"
    result = sl.check.echo_server(["bash", "-c", script, "{port}"], timeout=2)
    fails(result, Mistake.NEVER_LISTENS)
    pid = int(told.read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_a_command_that_does_not_exist() -> None:
    fails(sl.check.echo_server("no-such-program-here {port}"), Mistake.RAISES, "FileNotFoundError")


def test_the_whole_is_bounded() -> None:
    def one_byte_a_second(conn: sl.Connection) -> None:
        while data := conn.recv(1):
            time.sleep(0.2)
            conn.sendall(data)

    began = time.monotonic()
    fails(sl.check.echo_server(one_byte_a_second, timeout=4), None)
    assert time.monotonic() - began < 12


def test_who_sends_without_end_is_bounded_too() -> None:
    def floods(conn: sl.Connection) -> None:
        head = b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            conn.sendall(head + b"more\n" * 1000)

    for check in (sl.check.echo_server, sl.check.line_server, sl.check.chat_server, sl.check.http_server):
        result = check(floods, timeout=3)
        assert not result
        assert result.seconds < 10


def test_ctrl_c_ends_it_and_leaves_nothing() -> None:
    threading.Timer(1.0, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        sl.check.echo_server(hangs)
    eventually(lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()))


def test_the_parents_sockets_are_not_kept_open_by_the_copy(listener: sl.Listener) -> None:
    address = listener.local_addr
    held = listener.fileno()

    def looks(conn: sl.Connection) -> None:
        is_null = os.path.sameopenfile(held, 0)
        conn.sendall(b"null" if is_null else b"a socket")

    with sl.check.Check("copy", looks) as check, check.step("the listener is not there"):
        listener.close()
        check.connect().expect(b"null")
        sl.listen(*address, reuse_addr=False).close()
    passes(check.result)


def test_where_there_is_no_fork_handlers_are_served_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(conn: sl.Connection) -> None:
        while data := conn.recv():
            conn.sendall(data)

    def raises(conn: sl.Connection) -> None:
        conn.recv()
        raise ValueError("a handler's own")

    def listens(port: int) -> None: ...

    monkeypatch.delattr(os, "fork")
    passes(sl.check.echo_server(echo))
    fails(sl.check.echo_server(raises), Mistake.RAISES, "a handler's own")
    refused(NotImplementedError, ["cannot fork", "listens(conn)"], sl.check.echo_server, listens)


# What is a target


def test_functions_are_told_apart_by_their_parameters() -> None:
    import socket

    def found(function: Program, kind: str | None = None) -> tuple[str, tuple[str, ...]]:
        what = read(function, kind)
        assert isinstance(what, Function)
        return what.kind, what.arguments

    def annotated(c: socket.socket) -> None: ...
    def port_first(server_port: int, host: str) -> None: ...
    def a_number(n: int) -> None: ...

    assert found(lambda conn: None) == ("handler", ("conn",))
    assert found(lambda client, addr: None) == ("handler", ("conn", "peer"))
    assert found(annotated) == ("socket handler", ("sock",))
    assert found(lambda conn: None, "socket handler") == ("socket handler", ("sock",))
    assert found(lambda port: None) == ("program", ("port",))
    assert found(a_number) == ("program", ("port",))
    assert found(lambda host, port: None) == ("program", ("host", "port"))
    assert found(port_first) == ("program", ("port", "host"))
    assert found(lambda address: None) == ("program", ("address",))
    assert found(lambda x: None, "program") == ("program", ("port",))
    assert found(lambda host, port, backlog=5: None) == ("program", ("host", "port"))


def test_addresses_and_commands_are_told_apart() -> None:
    for address in (sl.Address("127.0.0.1", 5000), ("127.0.0.1", 5000), "127.0.0.1:5000"):
        assert read(address) == Running(sl.Address("127.0.0.1", 5000), "127.0.0.1:5000")
    there = read("[::1]:5000")
    assert isinstance(there, Running)
    assert there.address == ("::1", 5000)
    for command in ("python 'a b.py' {port}", ["python", Path("a b.py"), "{port}"]):
        found = read(command)
        assert isinstance(found, Command)
        assert found.filled(sl.Address("127.0.0.1", 5)) == ["python", "a b.py", "5"]


@pytest.mark.parametrize(
    ("error", "words", "target"),
    [
        (TypeError, ["a check takes a function", "42"], 42),
        (TypeError, ["None"], None),
        (TypeError, ["does not know what to give it"], lambda: None),
        (TypeError, ["does not know what to give it"], lambda a, b, c: None),
        (TypeError, ["sl.Echo is a class"], sl.Echo),
        (TypeError, ["is none", "7"], ["python", 7, "{port}"]),
        (ValueError, ["never gets a port", "{port}"], "python server.py"),
        (ValueError, ["empty"], []),
        (ValueError, ["names no port"], sl.Address("127.0.0.1", 0)),
        (ValueError, ["not this machine's loopback"], "192.0.2.1:80"),
        (ValueError, ["start() it first"], sl.Server(sl.Echo())),
    ],
)
def test_what_can_be_no_target_is_told(error: type[Exception], words: list[str], target: object) -> None:
    refused(error, words, read, target)


def test_bad_arguments_raise() -> None:
    check = sl.check
    refused(ValueError, ["there is no kind 'server'"], check.echo_server, lambda conn: None, kind="server")
    refused(ValueError, ["kind=", "functions"], check.echo_server, "127.0.0.1:5000", kind="handler")
    refused(TypeError, ["timeout", "'soon'"], check.echo_server, lambda conn: None, timeout="soon")
    refused(ValueError, ["timeout", "above 0"], check.echo_server, lambda conn: None, timeout=0)
    refused(ValueError, ["comes to an end"], check.echo_server, lambda conn: None, timeout=float("inf"))
    refused(TypeError, ["bytes", ".encode()"], check.line_server, lambda conn: None, lambda line: "x")
    refused(ValueError, ["ends with"], check.line_server, lambda conn: None, requests=[b"no end"])
    refused(TypeError, ["greeting"], check.line_server, lambda conn: None, greeting="hello")
    refused(ValueError, ["begins with /"], check.http_server, lambda conn: None, {"index": None})
    refused(TypeError, ["body", "str"], check.http_server, lambda conn: None, {"/": "text"})
    refused(ValueError, ["at least one"], check.client, lambda port: None, [])
    refused(TypeError, ["pairs of bytes"], check.client, lambda port: None, [("a", "b")])
    refused(ValueError, ["is an address"], check.client, "127.0.0.1:5000", [(b"a", b"b")])
    refused(ValueError, ["prints="], check.client, "x {port}", [(b"a", b"b")], returns=1)


# A check of one's own


def greeter(conn: sl.Connection) -> None:
    conn.sendall(b"hello\nbye\n")


def test_steps_of_ones_own() -> None:
    with sl.check.Check("greeter", greeter) as check:
        with check.step("greets") as step:
            client = check.connect()
            client.expect(b"hello\n")
            step.expect(client.line(), b"bye\n")
        with check.step("closes"):
            client.expect_end()
    passes(check.result)
    assert [step.name for step in check.result.steps] == ["listens where it was told", "greets", "closes"]
    assert client.conn.closed


def test_a_step_of_ones_own_that_fails_ends_the_check() -> None:
    with sl.check.Check("greeter", greeter) as check:
        with check.step("greets") as step:
            step.expect(check.connect().line(), b"good morning\n", "it greets in another way")
        raise RuntimeError("what comes after it is not run")
    fails(check.result, None, "It greets in another way.")
    step_failed = check.result.failed_step
    assert step_failed is not None
    assert (step_failed.name, step_failed.expected, step_failed.actual) == ("greets", b"good morning\n", b"hello\n")


def test_other_ways_to_fail_a_step() -> None:
    def failing(work: Program) -> sl.check.Result:
        with sl.check.Check("own", greeter) as check, check.step("one") as step:
            work(check, step)
        return check.result

    def asserts(check: sl.check.Check, step: sl.check.Stage) -> None:
        assert check.connect().line() == b"hi\n", "it says hello"

    def uses_the_connection(check: sl.check.Check, step: sl.check.Stage) -> None:
        check.connect().conn.recv_exactly(100, timeout=5)

    fails(failing(asserts), None, "it says hello")
    fails(failing(uses_the_connection), None, "IncompleteReadError")
    fails(failing(lambda check, step: step.fail("so", Mistake.HANGS)), Mistake.HANGS, "So.")
    left_out = failing(lambda check, step: step.leave_out("not here"))
    assert left_out
    assert [step.outcome for step in left_out.steps] == [Outcome.PASSED, Outcome.LEFT_OUT]
    assert "not here" in repr(left_out)


def test_a_fault_of_the_check_itself_is_raised_and_leaves_nothing() -> None:
    with pytest.raises(KeyError), sl.check.Check("own", greeter) as check, check.step("one"):  # noqa: PT012
        check.connect()
        raise KeyError("mine")


def test_steps_belong_inside_the_check() -> None:
    check = sl.check.Check("own", greeter)
    refused(RuntimeError, ["inside `with check:`"], check.step, "one")
    with check:
        pass
    refused(RuntimeError, ["made once"], check.__enter__)


# How a result looks


def test_a_failure_reads_well() -> None:
    def once(conn: sl.Connection) -> None:
        conn.sendall(conn.recv())

    result = sl.check.echo_server(once)
    with pytest.raises(AssertionError, match="reads only once"):
        assert result, repr(result)
    text = repr(result)
    for fragment in (
        "why",
        "expected  b'message 1'",
        "got       nothing",
        "next",
        "✓ answers a message",
        "✗ answers a second",
    ):
        assert fragment in text
    assert 'sendall 9 B "message 1"' in text, "the check's own calls in the step that failed"
    assert all(len(line) <= 100 for line in text.split("\n"))
    html = result._repr_html_()
    for fragment in ("<svg", "socklens-check-failed", "reads only once", "var(--jp-", "details open"):
        assert fragment in html
    assert len(result.events) >= 2


def test_a_pass_reads_well() -> None:
    with sl.Server(sl.Echo()) as server:
        result = sl.check.echo_server(server)
    passes(result)
    assert repr(result).startswith("passed: echo server ")
    assert "<svg" not in result._repr_html_()
    assert result == result
    assert result.seconds > 0


def test_every_mistake_has_words_and_advice() -> None:
    for mistake in Mistake:
        assert len(mistake.value) > 10
        assert mistake.advice.endswith(".")


def test_bytes_that_a_program_writes_where_nobody_asked_it_say_nothing() -> None:
    def echo(conn: sl.Connection) -> None:
        while data := conn.recv():
            conn.sendall(data)

    # Not into what the tests themselves talk through: a test run in several processes would wait for ever for what it broke.
    before = set(os.listdir("/proc/self/fd"))

    def everywhere(host: str, port: int) -> None:
        opened = set(os.listdir("/proc/self/fd")) - before
        assert opened
        for number in opened:
            with contextlib.suppress(OSError):
                os.write(int(number), b"garbage\n7\n[1]\n")
        sl.Server(echo, host, port).start().join()

    result = sl.check.echo_server(everywhere)
    assert result, result.reason
