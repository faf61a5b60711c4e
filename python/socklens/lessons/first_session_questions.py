"""The predictions of the first notebook. Each looks at the sockets that the student's cells made, and reads nothing from them."""

from __future__ import annotations

import socklens as sl

from .prediction import Prediction

__all__ = ["at_the_end", "where_is_hello", "which_port"]


def _which_port(listener: sl.Listener, accepted: sl.Connection) -> str:
    if accepted.local_addr.port == listener.local_addr.port:
        return "a"
    return "c" if accepted.local_addr.port == accepted.peer_addr.port else "b"


which_port = Prediction(
    "which_port",
    question="`accept` gives A a new socket for B. Which local port does that socket have?",
    choices={"a": "the port on which A listens", "b": "a new port, that the kernel picks", "c": "B's port"},
    observe=_which_port,
    why="A port is not used up by a connection. What tells A's sockets apart is the endpoint at the other end.",
)


def _where_is_hello(sender: sl.Connection, receiver: sl.Connection) -> str:
    if len(receiver.input_buffer):
        return "b"
    return "a" if len(sender.output_buffer) else "c"


where_is_hello = Prediction(
    "where_is_hello",
    question="B sends `hello`, and A does not receive. Where are the five bytes then?",
    choices={
        "a": "in B's output buffer, until A calls `recv`",
        "b": "in A's input buffer",
        "c": "in neither: a byte that nobody receives is lost",
    },
    observe=_where_is_hello,
    why="The two kernels carry them across as soon as there is room, whatever the program A does meanwhile.",
)


def _at_the_end(received: object) -> str:
    return "b" if received == b"" else "c" if isinstance(received, OSError) else "a"


at_the_end = Prediction(
    "at_the_end",
    question="A says that it has finished (FIN). Nothing is in B's input buffer. What does `recv` do for B now?",
    choices={"a": "it waits for bytes", "b": "it returns `b''` at once", "c": "it raises an error"},
    observe=_at_the_end,
    why="The peer will send no more, and so there is nothing to wait for; and a regular end is no error.",
)
