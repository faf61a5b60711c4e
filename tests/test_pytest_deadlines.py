"""The promise of the mark `deadline`: a test that hangs ends, with where every thread stood, and what other tests share stays open."""

from __future__ import annotations

import re
import threading

import pytest
from helpers import in_thread
from suites import suite

pytest_plugins = "pytester"


def test_a_test_that_hangs_fails_with_where_every_thread_stood_and_the_others_go_on(
    pytester: pytest.Pytester,
) -> None:
    result = suite(
        pytester,
        """
THREADS = []

@pytest.mark.deadline(1)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_hangs(pair):
    client, server = pair
    server.send(b"12")
    listener = sl.listen()
    service = sl.Server(sl.Echo()).start()
    def waits():
        listener.accept()
    THREADS.append(threading.Thread(target=waits, name="a patient thread"))
    THREADS[0].start()
    server.recv(10)

def test_others():
    THREADS[0].join(5)
    assert not THREADS[0].is_alive()
    assert sl.servers() == []
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*server.recv(10)",
            "*Failed: the test was not done within its deadline of 1 s",
            "*MainThread stood in",
            "*server.recv(10)",
            "*a patient thread stood in",
            "*line * in waits",
            "*listener.accept()",
            "*open sockets of the test",
            "*listening socket on 127.0.0.1:*, made in *, line 13",
            "FAILED *::test_hangs*",
        ]
    )
    result.stdout.fnmatch_lines(["*connection 127.0.0.1:* → 127.0.0.1:*, ESTABLISHED, 2 B unread, made in *"])


@pytest.mark.parametrize(
    "hang",
    [
        "socket.create_server(('127.0.0.1', 0)).accept()",
        "threading.Event().wait()",
        "while True: pass",
        "import asyncio; asyncio.run(asyncio.Event().wait())",
    ],
)
def test_whatever_it_waits_for_it_ends(pytester: pytest.Pytester, hang: str) -> None:
    result = suite(
        pytester,
        f"""
@pytest.fixture
def once():
    yield
    {hang}

def test_hangs():
    {hang}

def test_hangs_after(once):
    pass

def test_others():
    pass
""",
        "-o",
        "socklens_deadline=1",
    )
    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert (
        len(re.findall(r"(?m)^E +Failed: the test was not done within its deadline of 1 s$", result.stdout.str())) == 2
    )


def test_who_catches_the_failure_has_failed_all_the_same(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
@pytest.mark.deadline(1)
def test_catches(pair):
    try:
        pair[0].recv(1)
    except BaseException:
        print("caught")

@pytest.mark.deadline(60)
def test_in_time():
    pass
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["caught"])


def test_without_signals_the_tests_own_sockets_are_closed(pytester: pytest.Pytester) -> None:
    # pytest in a thread, as some programs start it, has no signals.
    code = """
@pytest.mark.deadline(1)
def test_hangs():
    client, server = sl.pair()
    client.recv(1)

def test_others():
    pass
"""
    result = in_thread(suite, pytester, code).result(timeout=60)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       client.recv(1)",
            "E       Failed: the test was not done within its deadline of 1 s",
            "E       in_thread(suite) stood in",
            "E           client.recv(1)",
            "FAILED *::test_hangs*",
        ]
    )


SHARED = """
@pytest.fixture(scope="module")
def shared():
    with sl.Server(sl.Echo()) as server, socket.create_server(("127.0.0.1", 0)) as other:
        yield server, other

@pytest.fixture
def slow(shared):
    mine.append(sl.listen())
    mine.append(sl.Server(sl.Echo()).start())
    WAIT

mine = []

@pytest.mark.deadline(1)
def test_slow(slow):
    pass

@pytest.mark.deadline(60)
def test_others(shared):
    server, other = shared
    for address in (server.local_addr, other.getsockname()):
        sl.connect(address, timeout=5).close()
    assert mine[0].closed
    assert not mine[1].running
"""


def test_a_deadline_in_the_set_up_closes_nothing_that_other_tests_share(pytester: pytest.Pytester) -> None:
    code = SHARED.replace("WAIT", "threading.Event().wait()")
    suite(pytester, code).assert_outcomes(passed=1, errors=1)


def test_without_signals_it_closes_nothing_that_other_tests_share_either(pytester: pytest.Pytester) -> None:
    code = SHARED.replace("WAIT", "mine[0].accept()")
    in_thread(suite, pytester, code).result(timeout=60).assert_outcomes(passed=1, errors=1)


def test_a_fixture_of_larger_scope_that_is_slow_keeps_what_it_opens(pytester: pytest.Pytester) -> None:
    code = """
@pytest.fixture(scope="module")
def shared(request):
    with sl.listen() as listener:
        deadline = request.getfixturevalue("over")
        deadline.wait(30)
        yield listener

@pytest.fixture(scope="module")
def over():
    from socklens_pytest import _deadline
    event = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        close = _deadline._Closer.close
        patch.setattr(_deadline._Closer, "close", lambda self: (close(self), event.set()))
        yield event

@pytest.mark.deadline(1)
def test_slow(shared):
    pass

@pytest.mark.deadline(60)
def test_others(shared):
    sl.connect(shared.local_addr, timeout=5).close()
"""
    in_thread(suite, pytester, code).result(timeout=60).assert_outcomes(passed=1, errors=1)


def test_set_up_call_and_tear_down_have_one_time_together(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
from socklens_pytest import _deadline

@pytest.fixture
def slow(request):
    yield
    times.append(request.node.stash[_deadline._UNTIL] - time.monotonic())

times = []

@pytest.fixture
def long_ago(request):
    request.node.stash[_deadline._UNTIL] -= 59.5

@pytest.mark.deadline(60)
def test_after_a_long_set_up(slow, long_ago):
    threading.Event().wait()

def test_the_tear_down_had_the_whole_time_once_more():
    assert 50 < times[0] <= 60
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*Failed: the test was not done within its deadline of 60 s"])


def test_who_looks_around_in_a_debugger_has_the_time_for_it(pytester: pytest.Pytester) -> None:
    result = suite(
        pytester,
        """
import signal

@pytest.mark.deadline(60)
def test_stops(request):
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    request.config.hook.pytest_enter_pdb(config=request.config, pdb=None)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
""",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("wrong", ["deadline", "deadline()", "deadline(0)", "deadline('x')", "deadline(1, 2)"])
def test_a_wrong_deadline_is_told_before_any_test_runs(pytester: pytest.Pytester, wrong: str) -> None:
    result = suite(pytester, f"@pytest.mark.{wrong}\ndef test_it():\n    pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::test_it: a deadline is a number of seconds above 0, not *"])


def test_the_alarm_is_given_back(pytester: pytest.Pytester) -> None:
    import signal

    before = threading.active_count()
    suite(pytester, "@pytest.mark.deadline(60)\ndef test_it():\n    pass\n").assert_outcomes(passed=1)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert threading.active_count() == before
