"""The tour: one TCP conversation in the lecture's seven steps, with real sockets on loopback. Nothing here is made up;
each picture is drawn from one look at the sockets at that moment.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from .. import Address, Connection, Listener
from ..display.screen import Screen
from .stage import Stage, until

A = Address("127.0.0.101", 6666)
B = Address("127.0.0.110", 50320)
C = Address("127.0.0.115", 40520)
_LOOPBACK = "127.0.0.1"
_MORE = "for the rest of this step"
"""A long step pauses in between, so that each part fits a terminal of 24 lines."""


def tour(screen: Screen, *, step: bool = False) -> int:
    """Runs the seven steps and returns 0; with `step`, in a terminal, waits for Enter after each, and q ends it early.

    Raises:
        OSError: this machine has no IPv4 loopback, or a step failed for another reason that is not the tour's to mend.
    """
    with Stage(screen, step=step) as stage:
        stage.say(
            "A TCP conversation in seven steps. Every line after >>> runs as you see it, with real sockets on this "
            "machine. In every picture, states and buffers are what the kernel says at that moment; the totals are "
            "what the calls have counted."
        )
        at = _listening(stage)
        stage.pause()
        _connected(stage, at)
        stage.pause()
        _accepted(stage)
        stage.pause()
        _another(stage, at)
        stage.pause()
        _bytes(stage)
        stage.pause()
        _taken(stage, at)
        stage.pause()
        _closing(stage, at)
        stage.title("Now you")
        stage.say("The same in a notebook, with your own lines, and the rest of the course:")
        screen.write(screen.code(f"    {_command()} course") + "\n")
        if not step:
            screen.write(f"{screen.code(f'{_command()} tour --step')} shows one step at a time.\n")
    return 0


def _listening(stage: Stage) -> Address:
    stage.title("1. A listens")
    stage.say(
        "A server opens a listener at an address and a port that clients know. A listener only waits for clients; no "
        "data ever passes through it."
    )
    _run_at(stage, "listener = sl.listen({at})", A)
    stage.draw("listener")
    return stage.get("listener", Listener).local_addr


def _connected(stage: Stage, at: Address) -> None:
    stage.title("2. B connects")
    stage.say(
        f"B connects from its own address and port to {at}. A has not called accept() yet, and still B is ESTABLISHED: "
        "the kernel made the three-way handshake, and the connection waits in the listener's backlog. Connected does "
        "not mean accepted."
    )
    _run_at(stage, f"b = sl.connect({_arguments(at)}, source=({{at}}))", _near(B, at))
    listener = stage.get("listener", Listener)
    until(lambda: listener.backlog.waiting == 1)
    stage.draw("listener", "b")


def _accepted(stage: Stage) -> None:
    stage.title("3. A accepts B")
    stage.say(
        "accept() takes B's connection out of the backlog and gives A a new socket for it. One connection, two "
        "sockets: what is local for one is the peer of the other. Each has an input and an output buffer."
    )
    stage.run("a_for_b = listener.accept(timeout=5)")
    stage.draw("a_for_b", "b")


def _another(stage: Stage, at: Address) -> None:
    stage.title("4. A is still listening: C connects")
    stage.say(f"The listener goes on as before, so C connects to the same port {at.port}.")
    _run_at(stage, f"c = sl.connect({_arguments(at)}, source=({{at}}))", _near(C, at))
    stage.run("a_for_c = listener.accept(timeout=5)")
    stage.draw("listener", "a_for_b", "a_for_c")
    stage.say(
        "Different sockets, same local port. The kernel tells connections apart by the four-tuple: local address and "
        "port, peer address and port."
    )


def _bytes(stage: Stage) -> None:
    stage.title("5. Bytes move")
    a_for_b, b = stage.get("a_for_b", Connection), stage.get("b", Connection)
    stage.say(
        "send() hands bytes to the kernel, and TCP carries them. They wait in A's input buffer until A calls recv()."
    )
    stage.run(r'b.send(b"hello A\n")')
    _arrived(b, a_for_b, 8)
    stage.draw("a_for_b", "b")
    stage.pause(_MORE)
    stage.say("recv() takes them out, in order. The other direction is a stream of its own.")
    stage.run("a_for_b.recv(1024)")
    stage.run(r'a_for_b.send(b"hello B, A here\n")')
    _arrived(a_for_b, b, 16)
    stage.draw("a_for_b", "b")
    stage.run("b.recv(1024)")


def _arrived(sender: Connection, receiver: Connection, count: int) -> None:
    """Waits for the bytes, then a moment for their acknowledgement: until it comes, they are truly in both buffers."""
    until(lambda: len(receiver.input_buffer) >= count)
    until(lambda: len(sender.output_buffer) == 0, 1.0)


def _taken(stage: Stage, at: Address) -> None:
    stage.title("6. One listener for one address and port")
    stage.say("A second listener at the same address and port is refused. The error says who has it.")
    try:
        stage.run(f"second = sl.listen({_arguments(at)})")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise


def _closing(stage: Stage, at: Address) -> None:
    stage.title("7. Closing")
    a_for_b, b = stage.get("a_for_b", Connection), stage.get("b", Connection)
    stage.say("B finishes sending. Its kernel sends FIN, which A reads as the end of the stream: recv() gives b''.")
    stage.run('b.shutdown("send")')
    stage.run("a_for_b.recv(1024)")
    until(lambda: _state(b) in ("FIN_WAIT_2", ""), 1.0)
    stage.draw("a_for_b", "b")
    stage.say("The connection is half-closed: A could still send, and B receive. Now both close.")
    stage.pause(_MORE)
    stage.run("a_for_b.close()")
    stage.run("b.close()")
    until(lambda: all(_state(conn) in ("TIME_WAIT", "CLOSED", "") for conn in (a_for_b, b)), 2.0)
    stage.draw("a_for_b", "b")
    if _state(b) == "TIME_WAIT":
        stage.say(
            "This program has closed both sockets. The kernel keeps TIME_WAIT for the end that sent its FIN first, so "
            "that a late segment cannot be taken for one of a new connection with the same four-tuple; on Linux for 60 "
            "seconds."
        )
    stage.pause(_MORE)
    stage.say("Closing the listener ends the listening, not the connections it has accepted.")
    stage.run("listener.close()")
    try:
        stage.run(f"sl.connect({_arguments(at)}, timeout=5)")
    except OSError as error:
        if not isinstance(error, (ConnectionRefusedError, TimeoutError)):
            raise
    stage.draw("listener", "a_for_c")


def _state(conn: Connection) -> str:
    try:
        return conn.state.name
    except (OSError, NotImplementedError):
        return ""


# -- finding a place on this machine


def _command() -> str:
    """The socklens command as it can be typed here: after `make run` it lies in a virtual environment that is not active."""
    beside = Path(sys.executable).with_name("socklens")
    if shutil.which("socklens") or not beside.exists():
        return "socklens"
    near = os.path.relpath(beside)
    return str(beside) if near.startswith("..") else near


def _arguments(at: Address) -> str:
    return f'"{at.host}", {at.port}'


def _near(wanted: Address, listener: Address) -> Address:
    """The client's own address, or the listener's where step 1 found that there is no other."""
    return wanted if listener.host == A.host else Address(listener.host, wanted.port)


def _run_at(stage: Stage, template: str, wanted: Address) -> None:
    """Types the line for the wanted address; where it cannot be had, says why and takes what there is.

    Raises:
        OSError: neither another port nor 127.0.0.1 helps.
    """
    at = wanted
    while True:
        try:
            stage.run(template.format(at=_arguments(at)))
            return
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and wanted == A and at.host != _LOOPBACK:
                stage.note(
                    f"this machine has no address {at.host} (on Linux all of 127.x.y.z is loopback). {_LOOPBACK} it is."
                )
                at = Address(_LOOPBACK, at.port)
            elif error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES) and at.port:
                stage.note(
                    f"port {at.port} is not free, as the line above says. The tour goes on with a free one (port 0)."
                )
                at = Address(at.host, 0)
            else:
                raise
