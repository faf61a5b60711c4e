"""The check's own end of a connection. Every call ends by the deadline of its step, and what does not come is a `Missed`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from typing import NoReturn

from .. import _socklens
from .._address import Address
from .._errors import ClosedError, FrameTooLongError, IncompleteReadError
from .._socklens import Connection
from ._failure import Failed, Missed, What
from ._kernel import OtherEnd, holders, other_end, until

_SETTLED = 0.25  # seconds for a piece to be read where the kernel does not tell; and for nothing to come
_MOST_READ = 0.5
_NARROW = 32 << 10
_SEGMENT = 1400


class Peer:
    """A client that a check drives: made by `Check.connect()`, closed when the check is over.

    All of its calls are bounded by their step's time, and fail the step when they do not get what they wait for.

    Attributes:
        conn: the connection itself, a `socklens.Connection`.
        name: what it is called in reasons: "the client".
    """

    def __init__(self, conn: Connection, deadline: Callable[[], float], name: str = "the client") -> None:
        self.conn = conn
        self.name = name
        self._deadline = deadline
        self.local_addr: Address = conn.local_addr
        self.peer_addr: Address = conn.peer_addr

    @property
    def seconds_left(self) -> float:
        """Of the step that goes on."""
        return self._left()

    def _left(self, seconds: float | None = None) -> float:
        left = max(0.0, self._deadline() - time.monotonic())
        return left if seconds is None else min(left, seconds)

    # Sending

    def send(self, data: bytes) -> None:
        """Sends all of it.

        Raises:
            Missed: the program does not take it, or the connection is gone.
        """
        try:
            self.conn.sendall(data, timeout=self._left())
        except TimeoutError:
            self._missed(
                What.NOTHING, "the program does not take what is sent to it", "room in its input buffer", "none"
            )
        except OSError as error:
            self._gone(error, f"room for {len(data):,} bytes", b"")

    def deliver(self, piece: bytes) -> None:
        """Sends a piece and waits until the program has read it, so that the next one cannot be read together with it.

        Observed in the kernel's table: nothing lies unread in the program's input buffer. If it does not read, or the system does
        not tell, a short pause is over then.
        """
        self.send(piece)
        told = self.far_end() is not None
        until(self._is_read, time.monotonic() + self._left(_MOST_READ if told else _SETTLED))

    def _is_read(self) -> bool:
        if self.conn.output_buffer.unacknowledged:
            return False
        end = self.far_end()
        return end is not None and end.accepted and not end.unread

    def finish(self) -> None:
        """Sends FIN: nothing more will come from here, and the other direction goes on (a half-close)."""
        try:
            self.conn.shutdown("send")
        except OSError as error:
            self._gone(error, "a connection", b"")

    def abort(self) -> None:
        """Sends RST: the connection is over at once."""
        self.conn.abort()

    def close(self) -> None:
        """Closes the connection."""
        self.conn.close()

    # Receiving

    def expect(self, wanted: bytes, seconds: float | None = None) -> None:
        """Waits for exactly these bytes.

        Raises:
            Missed: others came, or too few.
        """
        got = b""
        deadline = time.monotonic() + self._left(seconds)
        while len(got) < len(wanted):
            got += self._some(len(wanted) - len(got), deadline, wanted, got)
            if not wanted.startswith(got):
                # What else has come belongs to the picture.
                got += self.more(_SETTLED / 5, most=max(256, len(wanted)))
                self._missed(What.OTHER, "it answered with other bytes", wanted, got)

    def take(self, wanted: object, before: bytes, seconds: float) -> bytes:
        """What comes next, 1 to 65,536 bytes.

        Raises:
            Missed: nothing came in this time, or the stream has ended.
        """
        return self._some(1 << 16, time.monotonic() + self._left(seconds), wanted, before)

    def _some(self, most: int, deadline: float, wanted: object, before: bytes) -> bytes:
        left = max(0.0, deadline - time.monotonic())
        try:
            data = self.conn.recv(most, timeout=left)
        except (TimeoutError, BlockingIOError):
            self._missed(What.NOTHING, "it did not answer" if not before else "the rest did not come", wanted, before)
        except OSError as error:
            self._gone(error, wanted, before)
        if not data:
            early = "before it had answered" if not before else "in the middle of an answer"
            self._missed(What.END, f"it closed the connection {early}", wanted, before)
        if not left:  # or who sends without end would hold up the check without end
            self._missed(What.NOTHING, "it was not done in time", wanted, before[-256:] + data[:256])
        return data

    def line(self, seconds: float | None = None, *, wanted: object = "a line") -> bytes:
        r"""The next line, with its ``b"\n"``.

        Raises:
            Missed: no whole line came.
        """
        left = self._left(seconds)
        try:
            line = self.conn.recv_line(timeout=left)
        except (TimeoutError, BlockingIOError):
            came = bytes(self.conn.input_buffer)
            self._missed(What.NOTHING, "the end of a line did not come" if came else "it did not answer", wanted, came)
        except IncompleteReadError as error:
            self._missed(What.END, "it closed the connection before the end of a line", wanted, error.partial)
        except FrameTooLongError as error:
            self._missed(What.OTHER, str(error), wanted, bytes(self.conn.input_buffer)[:256])
        except OSError as error:
            self._gone(error, wanted, bytes(self.conn.input_buffer))
        if not line:
            self._missed(What.END, "it closed the connection", wanted, b"")
        if not left:
            self._missed(What.NOTHING, "in all that it sent, this did not come", wanted, line)
        return line

    def more(self, seconds: float = _SETTLED, most: int = 1 << 16) -> bytes:
        """What comes within this time: b"" if nothing does, or if the connection ends."""
        try:
            return self.conn.recv(most, timeout=self._left(seconds))
        except OSError:
            return b""

    def reaction(self, seconds: float) -> bytes | What | None:
        """What the program does within this time: bytes, an end or a reset; None if nothing."""
        try:
            return self.conn.recv(timeout=self._left(seconds)) or What.END
        except (TimeoutError, BlockingIOError):
            return None
        except OSError:
            return What.RESET

    def expect_end(self, seconds: float | None = None) -> None:
        """Waits for the program's FIN.

        Raises:
            Missed: bytes came instead, or nothing.
        """
        end = "the end of the stream"
        try:
            data = self.conn.recv(timeout=self._left(seconds))
        except (TimeoutError, BlockingIOError):
            self._missed(What.NOTHING, "it did not close the connection", end, b"")
        except OSError as error:
            self._gone(error, end, b"")
        if data:
            self._missed(What.OTHER, "it sent more than it should have", end, data)

    # Looking

    def far_end(self) -> OtherEnd | None:
        """The program's end of this connection, as the kernel has it; None if it is gone, or the system does not tell."""
        return other_end(self.local_addr, self.peer_addr)

    def is_shared(self, pids: Collection[int]) -> bool:
        """Whether several of the program's processes have its end of this connection: what each of them does with it cannot be told."""
        end = self.far_end()
        return end is not None and holders(end.inode, pids) > 1

    def _gone(self, error: OSError, wanted: object, came: bytes) -> NoReturn:
        if isinstance(error, ClosedError):
            raise Failed("the check closed its own connection; its step goes on with it", expected=wanted) from error
        if isinstance(error, ConnectionError):
            self._missed(What.RESET, "the connection was reset", wanted, came)
        self._missed(What.RESET, f"the connection failed: {error}", wanted, came)

    def _missed(self, what: What, reason: str, wanted: object, came: object) -> NoReturn:
        raise Missed(what, reason, self, expected=wanted, actual=came) from None


def connected(address: Address, deadline: Callable[[], float], name: str, narrow: bool = False) -> Peer:
    """A new client.

    Raises:
        Missed: nobody listens there, or the connection is not made in time.
    """
    left = max(0.001, deadline() - time.monotonic())
    try:
        conn = _narrow(address, left) if narrow else _socklens.connect(address, timeout=left)
    except ConnectionRefusedError:
        said = f"{name} was refused: nothing listens on {address}"
        raise Missed(What.REFUSED, said, None, expected="a connection", actual="ECONNREFUSED") from None
    except OSError as error:
        said = f"{name} got no connection: {error}"
        raise Missed(What.NO_CONNECTION, said, None, expected="a connection", actual="none") from None
    return Peer(conn, deadline, name)


def _narrow(address: Address, seconds: float) -> Connection:
    """One whose peer keeps little in its send buffer, too: Linux measures that by the segment (tcp_init_buffer_space)."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW)
        if hasattr(socket, "TCP_MAXSEG"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)
        sock.settimeout(seconds)
        sock.connect(tuple(address))
        sock.settimeout(None)
        return Connection.from_socket(sock)
    except BaseException:
        sock.close()
        raise
