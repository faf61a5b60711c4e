"""Life in a forked child: it becomes a process of its own that shares nothing with its parent but three pipes, runs one function of the
student's, tells how that ended, and never returns into the parent's code.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import faulthandler
import gc
import inspect
import os
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from .. import _listen
from .._address import Address
from .._socklens import connect
from ..server import Server
from . import _memory
from ._ending import Ending
from ._lines import in_one_line
from ._plain import compared
from ._processes import Mark
from ._serving import as_handler, ending_of
from ._target import LOOPBACK, Function
from ._telling import Tell

BROKEN = 70
"""The status of a child that has not come to the student's function (EX_SOFTWARE of sysexits.h)."""

_FRAMES = 20


def live(
    work: Callable[[Tell], int], out: int, tell: Tell, life: int, signals: set[int | signal.Signals], mark: Mark
) -> NoReturn:
    """Runs `work` as the whole life of this process, which ends with the status that it returns.

    Args:
        out: the pipe for what is printed.
        tell: tells the parent.
        life: a pipe that ends when the parent does; then this process and all that it started end too.
        signals: those that are blocked in a program; until then all are.
        mark: what this process and all that it starts are known by.
    """
    status = BROKEN
    try:
        _settle(out, life, signals)
        mark.put()
        _memory.limit()
        status = work(tell)
    except KeyboardInterrupt:  # of a SIGINT that the program has sent itself, while its threads serve
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except BaseException as error:  # what the student's function raises has been told by then
        traceback.print_exc()
        tell("ended", Ending(fault=f"could not be run by the check: {in_one_line(error)[:400]}"))
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _settle(out: int, life: int, signals: set[int | signal.Signals]) -> None:
    os.setsid()  # its own process group, which is ended as a whole; a Ctrl-C in the terminal is not for it
    gc.freeze()  # what the parent left lying about is not to be finalised here as well
    _leave_sockets()
    _listen._made.clear()
    null = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, null), (1, out), (2, out)):
        os.dup2(source, target)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # as long as the process
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if faulthandler.is_enabled():
        faulthandler.enable(sys.stderr)
    builtins.input = _no_keyboard  # a notebook's own would ask the front end
    signal.set_wakeup_fd(-1)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # and one that has come since the fork is forgotten: it was the parent's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.excepthook = threading.__excepthook__
    threading.Thread(target=_end_with_the_parent, args=(life,), daemon=True).start()


def _leave_sockets() -> None:
    """No socket of the parent's is kept open here: its peer would wait for an end that does not come, and its port would stay taken.

    The numbers stay taken, by /dev/null: objects of the parent's still have them, and must not close what is opened here.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):
        number = int(name)
        try:
            if number != null and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(null, number, inheritable=False)
        except OSError:  # the one that listed the directory
            continue


def _no_keyboard(prompt: object = "", /) -> str:
    raise EOFError("a program that is checked has no keyboard: nothing can be typed in")


def _end_with_the_parent(life: int) -> None:
    try:
        os.read(life, 1)
    except OSError:  # the program has closed what was not its own
        return
    os.killpg(0, signal.SIGKILL)


# -- what the child does


def serve(target: Function, address: Address) -> Callable[[Tell], int]:
    """The life of a server: a handler, or a program that listens by itself."""

    def program(tell: Tell) -> int:
        ending = _called(target, {"host": address.host, "port": address.port, "address": tuple(address)})
        tell("ended", ending)
        if ending.error or ending.exit_called:
            return _status(ending)
        # It may have left threads that serve: they live on until the check is over.
        return _wait_for_ever()

    def handler(tell: Tell) -> int:
        server = Server(as_handler(target, lambda ending: tell("trouble", ending)), LOOPBACK, 0)
        tell("listens", server.start().local_addr.port)
        return _wait_for_ever()

    return program if target.kind == "program" else handler


def take_part(target: Function, address: Address, wanted: object) -> Callable[[Tell], int]:
    """The life of a client: a function that connects by itself, or one that is given a connection."""

    def work(tell: Tell) -> int:
        def keep(value: object) -> None:
            tell("returned", compared(value, wanted))

        given: dict[str, object] = {"host": address.host, "port": address.port, "address": tuple(address)}
        with contextlib.ExitStack() as stack:
            if target.kind != "program":
                conn = stack.enter_context(connect(address, timeout=10))
                conn.timeout = None
                given = {"peer": tuple(address), "conn": conn}
                if target.kind == "socket handler":
                    given["sock"] = stack.enter_context(conn.to_socket())
            ending = _called(target, given, keep)
        tell("ended", ending)
        if ending.error or ending.exit_called:
            return _status(ending)
        # What it has left open stays open, so that it can be seen.
        return _wait_for_ever()

    return work


def _status(ending: Ending) -> int:
    """As Python itself would end."""
    return 1 if ending.error else ending.status or 0


def _wait_for_ever() -> int:
    threading.Event().wait()
    return 0


def _called(target: Function, given: dict[str, object], keep: Callable[[object], None] | None = None) -> Ending:
    """Calls the student's function, and awaits it if it is one of those."""
    try:
        value = target.function(*(given[name] for name in target.arguments))
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
    except BaseException as error:  # SystemExit and whatever else: it is told, and ends this process at the most
        _memory.let_go()
        try:
            if not isinstance(error, SystemExit):
                # Of a recursion that took all memory only the last frames: there are millions.
                most = -_FRAMES if isinstance(error, MemoryError) else None
                trace = error.__traceback__ and error.__traceback__.tb_next
                traceback.print_exception(type(error), error, trace, most)
            return ending_of(target.function, error)
        finally:
            _memory.set_aside()
    if keep is not None:
        keep(value)
    _kept.append(value)
    return Ending()


_kept: list[object] = []
"""What functions returned: a server that is started and returned must not be collected."""
