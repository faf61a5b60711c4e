"""The promise of the pytest plugin: real sockets that are gone after the test, hangs that end with where every thread stood, leaks that are
named; and nothing at all in a test suite that does not ask for it. Each test runs a small suite of somebody else's.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import socklens as sl
import socklens_pytest
from suites import suite

pytest_plugins = "pytester"

ROOT = Path(__file__).parent.parent
FIXTURES = ("listener", "pair", "server", "wire", "free_port")


# Where it is not used


def test_it_imports_nothing_of_socklens_at_pytests_start(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_what_is_there():
            ours = {name for name in sys.modules if name.startswith("socklens")}
            assert ours == {"socklens_pytest"}
    """)
    result = pytester.runpytest_subprocess("-p", "socklens_pytest", "--strict-markers")
    result.assert_outcomes(passed=1)


def test_a_fixture_of_the_suites_own_has_the_name_to_itself(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
@pytest.fixture
def server():
    return "mine"

def test_own(server):
    assert server == "mine"
""",
    )
    result.assert_outcomes(passed=1)


def test_it_is_installed_as_a_plugin() -> None:
    # Of the file, because what is installed may be older.
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {"socklens_pytest": socklens_pytest.__name__}
    assert project["tool"]["maturin"]["python-packages"] == [socklens_pytest.__name__]


def test_fixtures_and_marks_explain_themselves(pytester: pytest.Pytester) -> None:
    told = pytester.runpytest_inprocess("-p", "socklens_pytest", "--fixtures").stdout.str()
    for name in FIXTURES:
        assert f"\n{name} -- " in told
        assert len(getattr(socklens_pytest, name).__doc__) > 60
    assert "no docstring available" not in told[told.index("socklens_pytest") :].partition("\n\n\n")[0]
    marks = pytester.runpytest_inprocess("-p", "socklens_pytest", "--markers").stdout.str()
    assert "@pytest.mark.deadline(seconds): " in marks
    assert "@pytest.mark.no_leaks: " in marks


# Fixtures


def test_sockets_of_fixtures_work_and_are_closed_after_the_test(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
USED = []

def test_listener(listener):
    with sl.connect(listener.local_addr) as client:
        listener.accept(timeout=5).close()
    USED.append(listener)

def test_pair(pair):
    client, server = pair
    client.sendall(b"hello")
    assert server.recv_exactly(5, timeout=5) == b"hello"
    USED.extend(pair)

def test_servers(server):
    echo = server(sl.Echo())
    shout = server(lambda conn: conn.sendall(conn.recv_line(timeout=5).upper()), mode="one")
    for one, answer in ((echo, b"hi\\n"), (shout, b"HI\\n")):
        with sl.connect(one.local_addr) as client:
            client.sendall(b"hi\\n")
            assert client.recv_line(timeout=5) == answer
        USED.append(one.listener)

def test_a_server_on_a_given_port(server, free_port):
    assert server(sl.Echo(), port=free_port).local_addr == ("127.0.0.1", free_port)

def test_after():
    assert len(USED) == 5
    assert all(one.closed for one in USED)
    assert sl.servers() == []
""",
    )
    result.assert_outcomes(passed=5)


def test_a_wire_lies_before_a_server_and_is_closed_with_it(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
USED = []

def test_pieces(server, wire):
    USED.extend(wire(server(sl.LineEcho()), split=1, seed=7) for _ in range(2))
    for one in USED:
        with sl.connect(one.local_addr, timeout=5) as client:
            client.sendall(b"hi\\n")
            assert client.recv(10) == b"h"
            assert client.recv_line() == b"i\\n"

def test_after():
    assert len(USED) == 2
    for one in USED:
        with pytest.raises(ConnectionRefusedError):
            sl.connect(one.local_addr)
""",
        "-o",
        "socklens_no_leaks=true",
        apart=True,
    )
    result.assert_outcomes(passed=2)


def test_a_server_is_stopped_after_a_test_that_failed_and_after_one_that_does_not_stop(
    pytester: pytest.Pytester,
) -> None:
    result = suite(
        pytester,
        """
def test_fails(server):
    first, second = server(sl.Echo()), server(sl.Echo())
    def broken():
        type(second).stop(second)
        raise OSError("does not stop")
    second.stop = broken
    assert False

def test_after():
    assert sl.servers() == []
""",
    )
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*OSError: does not stop"])


def test_a_failed_test_shows_what_handlers_raised_and_why_a_socket_failed(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
def test_handler(server):
    def forgetful(conn):
        return conn.answer
    with sl.connect(server(forgetful).local_addr) as client:
        assert client.recv(1, timeout=5) == b"x"

def test_refused(free_port, listener):
    sl.connect("127.0.0.1", free_port)

def test_skipped(server):
    server(sl.Echo())
    pytest.skip("not today")
""",
    )
    result.assert_outcomes(failed=2, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*what a handler of <Server forgetful on 127.0.0.1:*",
            "*AttributeError: * no attribute 'answer'",
            "*ConnectionRefusedError: *",
            "*socklens looked into it:",
            "*nothing listens there",
            "*listens on*",
        ]
    )


def test_a_free_port_is_free_and_stays_so(pytester: pytest.Pytester) -> None:
    from socklens._free_port import free_port

    ports = {free_port() for _ in range(20)}
    assert len(ports) > 10
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for port in ports:
        assert port >= 1024
        assert not low <= port <= high
        assert len(sl.ports(port, state="LISTEN")) == 0
        with socket.create_server(("", port)):
            pass


# Leaks


def test_what_a_test_leaves_open_is_named(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
LEFT = []

@pytest.mark.no_leaks
def test_leaves(pair):
    listener = sl.listen()
    client = sl.connect(listener.local_addr)
    waiting = threading.Thread(target=threading.Event().wait, name="waits for ever", daemon=True)
    waiting.start()
    LEFT.extend([listener, client, waiting, socket.create_server(("127.0.0.1", 0)), open("/dev/null")])

def test_ends():
    print("listener", LEFT[0].local_addr)
    print("client", LEFT[1].local_addr)
    print("other", LEFT[3].getsockname()[1])
""",
        "-rP",
        apart=True,
    )
    result.assert_outcomes(passed=2, errors=1)
    told = dict(line.split() for line in result.outlines if line.partition(" ")[0] in ("listener", "client", "other"))
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaves*",
            "left over by the test: 5",
            f"  listening socket on {told['listener']}, made in *.py, line 10",
            f"  connection {told['client']} → {told['listener']}, ESTABLISHED, made in *.py, line 11",
            f"  listening socket on 127.0.0.1:{told['other']}",
            "  thread 'waits for ever', which stands in *threading.py, line *",
            "  descriptor *: /dev/null",
        ]
    )


def test_what_is_closed_or_not_the_tests_is_no_leak(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
@pytest.fixture(scope="module")
def shared():
    with sl.Server(sl.Echo()) as server:
        yield server

@pytest.fixture
def own(shared):
    with sl.connect(shared.local_addr) as client:
        yield client

def test_uses_what_a_module_has(own, request):
    own.sendall(b"x")
    assert own.recv(1, timeout=5) == b"x"

def test_asks_for_it_late(request, pair):
    request.getfixturevalue("another")

@pytest.fixture(scope="session")
def another():
    with sl.listen() as listener:
        yield listener

def test_threads_that_end(server):
    one = server(lambda conn: conn.sendall(conn.recv(1)))
    with sl.connect(one.local_addr) as client:
        client.send(b"x")
        assert client.recv(1, timeout=5) == b"x"

def test_what_only_a_cycle_holds():
    around = [sl.listen()]
    around.append(around)
""",
        "-o",
        "socklens_no_leaks=true",
        apart=True,
    )
    result.assert_outcomes(passed=4)


def test_a_test_that_failed_is_not_blamed_for_what_its_traceback_holds(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
@pytest.mark.no_leaks
def test_fails():
    listener = sl.listen()
    assert listener.closed
""",
        apart=True,
    )
    result.assert_outcomes(failed=1)


# Checks


CHECKED = """
def once(conn):
    conn.sendall(conn.recv())

def test_called():
    assert sl.check.echo_server(once)

def test_named():
    result = sl.check.echo_server(once)
    assert result

def test_right():
    assert not sl.check.echo_server(once)
"""


def test_a_check_that_is_asserted_is_shown_whole(pytester: pytest.Pytester) -> None:
    result = suite(pytester, CHECKED)
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*- socklens check -*", "failed: echo server `once`*", "  mistake   it reads only once from each client"] * 2
    )
