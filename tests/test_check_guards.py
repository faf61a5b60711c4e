"""The promise: nothing that happens in a program under check happens in the check's own process, and nothing of the program outlives it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


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
