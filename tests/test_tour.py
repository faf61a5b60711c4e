"""The tour runs everywhere, ends by itself with status 0, and shows the lecture's facts as the kernel tells them."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import subprocess
import sys

import pytest
from helpers import eventually, lacking
from program import SOCKLENS
from socklens import Address
from socklens.display.escape import cells
from socklens.display.screen import Screen
from terminal import Terminal, needs_terminal

LINUX = sys.platform.startswith("linux")
HOST = "127.0.0.101" if LINUX else "127.0.0.1"


def tour(**env: str) -> str:
    done = subprocess.run(
        [*SOCKLENS, "tour"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "0", "COLUMNS": "80", **env},
    )
    assert done.stderr == b""
    assert done.returncode == 0
    return done.stdout.decode(env.get("PYTHONIOENCODING", "utf-8"))


def shows(drawn: str, *facts: str) -> None:
    """The facts stand in the text, in this order."""
    position = 0
    for fact in facts:
        found = re.search(fact, drawn[position:])
        assert found, f"no {fact!r} after:\n{drawn[:position][-500:]}"
        position += found.end()


def test_the_seven_steps() -> None:
    drawn = tour(PYTHONIOENCODING="utf-8")
    shows(
        drawn,
        r"1\. A listens",
        r">>> listener = sl\.listen\(",
        r"LISTEN",
        r"2\. B connects",
        r"● 1 waiting",
        r"ESTABLISHED",
        r"3\. A accepts B",
        r">>> a_for_b = listener\.accept\(",
        r"a_for_b .*ESTABLISHED.* b .*ESTABLISHED",
        r"4\. A is still listening",
        r"listener .*LISTEN",
        r"a_for_b .*ESTABLISHED",
        r"a_for_c .*ESTABLISHED",
        r"5\. Bytes move",
        r'"hello A\\n"',
        r"b'hello A\\n'",
        r'"hello B, A here\\n"',
        r"b'hello B, A here\\n'",
        r"6\. One listener",
        r"OSError: \[Errno \d+\]",
        r"7\. Closing",
        r">>> a_for_b\.recv\(1024\)\nb''",
        r"CLOSE_WAIT",
        r"closed",
        r"closed",
        r"ConnectionRefusedError",
        r"local port \d+ · 1 socket, 1 closed",
        r"socklens course",
        r"socklens tour --step shows one step at a time",
    )
    if LINUX:
        shows(drawn, r"7\. Closing", r"CLOSE_WAIT.*FIN_WAIT_2", r"a_for_b .* closed .* b .* closed · TIME_WAIT")
        shows(drawn, r"6\. One listener", rf"\b{HOST}:\d+")
    assert max(map(cells, drawn.splitlines())) <= 80
    assert "\x1b" not in drawn


def test_both_sockets_of_a_connection_mirror_each_other() -> None:
    step = tour(PYTHONIOENCODING="utf-8").split("3. A accepts B")[1].split("4. A is")[0]
    local = re.search(r"local (\S+) .*local (\S+)", step)
    peer = re.search(r"peer  (\S+) .*peer  (\S+)", step)
    assert local is not None
    assert peer is not None
    assert local.groups() == peer.groups()[::-1]


def test_a_taken_port_is_said_with_its_holder_and_another_is_used() -> None:
    with contextlib.ExitStack() as stack:

        def hold() -> bool:
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server((HOST, 6666)))
                return True
            return False

        try:
            eventually(hold)  # another run's tour has it for a moment only
        except AssertionError:
            lacking(f"{HOST}:6666 is not free")
        drawn = tour(PYTHONIOENCODING="utf-8")
    unwrapped = " ".join(drawn.split())
    shows(
        unwrapped,
        r'>>> listener = sl\.listen\("127\.0\.0\.1\d*", 6666\)',
        r"OSError: \[Errno",
        r"6666",
        r"Note: port 6666",
    )
    shows(unwrapped, r'>>> listener = sl\.listen\("127\.0\.0\.1\d*", 0\)', r"LISTEN", r"socklens course")
    if LINUX:
        assert str(os.getpid()) in unwrapped.split("Note: port 6666")[0]


def test_a_platform_without_the_lectures_addresses_gets_127_0_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from socklens.cli import tour as lecture

    outside = Address("192.0.2.1", 6666)  # for documentation (RFC 5737): no machine has it
    monkeypatch.setattr(lecture, "A", outside)
    written = io.StringIO()
    assert lecture.tour(Screen(written)) == 0
    drawn = " ".join(written.getvalue().split())
    shows(drawn, r"listen\(\"192\.0\.2\.1\", 6666\)", r"Note: this machine has no address 192\.0\.2\.1", r"LISTEN")
    shows(drawn, r"sl\.connect\(\"127\.0\.0\.1\", \d+, source=\(\"127\.0\.0\.1\", \d+\)\)", r"socklens course")


def test_a_pipe_is_never_asked_to_press_enter() -> None:
    done = subprocess.run([*SOCKLENS, "tour", "--step"], capture_output=True, text=True, timeout=60, input="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Enter" not in done.stdout
    assert "socklens course" in done.stdout


@needs_terminal
def test_a_terminal_shows_the_tour_at_once_or_step_by_step() -> None:
    with Terminal(*SOCKLENS, "tour") as at_once:
        assert at_once.ended() == 0
    assert "Enter" not in at_once.shown
    with Terminal(*SOCKLENS, "tour", "--step") as stepped:
        pauses = 0
        seen = 0
        while pause := stepped.wait_for("(Enter .*, q to stop)|socklens course", seen):
            seen = pause.end()
            if not pause[1]:
                break
            pauses += 1
            assert "socklens course" not in stepped.shown
            stepped.types("\n")
        assert stepped.ended() == 0
    assert pauses == 9  # six between the steps, three in long ones
    fits = re.split(r"Enter .*", stepped.shown)
    assert max(part.count("\n") for part in fits) <= 24


@needs_terminal
@pytest.mark.parametrize(("key", "status"), [(b"q\n", 0), (b"\x04", 0), (b"", 130)], ids=["q", "Ctrl-D", "Ctrl-C"])
def test_a_stepped_tour_can_be_left(key: bytes, status: int) -> None:
    with Terminal(*SOCKLENS, "tour", "--step") as stepped:
        stepped.wait_for("q to stop")
        stepped.press(key) if key else stepped.interrupt()
        assert stepped.ended() == status
    assert "2. B connects" not in stepped.shown
    assert "Traceback" not in stepped.shown
    assert stepped.shown.endswith("\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_screen_without_unicode_gets_ascii(encoding: str) -> None:
    drawn = tour(PYTHONIOENCODING=encoding)
    assert drawn.isascii()
    shows(drawn, r"\+- listener -+ LISTEN -\+", r"o 1 waiting", r'"hello A\\n"', r"socklens course")


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    with subprocess.Popen([*SOCKLENS, "tour"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(60)


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--version"], r"^socklens \d+\.\d+"), ([], "tour"), (["--help"], "connect 127")]
)
def test_the_command_tells_its_version_and_its_commands(arguments: list[str], said: str) -> None:
    done = subprocess.run([*SOCKLENS, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(said, done.stdout)
