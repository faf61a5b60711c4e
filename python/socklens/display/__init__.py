"""Pictures of live sockets. One way only: a socket is looked at once, frozen into a view, and the view is drawn;
nothing drawn ever asks a socket again.
"""

from __future__ import annotations

import sys

from .. import Connection, Listener
from .screen import Screen
from .text import picture
from .views import View, view_of

__all__ = ["show"]


def show(*objects: Connection | Listener | View, **named: Connection | Listener | View) -> None:
    r"""Prints a picture of each listener and connection, as the kernel sees it now.

    The two ends of one connection are drawn side by side, several sockets with the same local port in one table. A
    keyword names its socket in the picture: ``show(listener, b=b)``. A closed socket is drawn as closed, with what the
    kernel still keeps of its connection, such as TIME_WAIT.

    Buffer contents are shown escaped (``\n``, ``\x1b``, ``\xff``), counts are bytes, and nothing is read: the bytes
    stay in the buffers.

    Raises:
        TypeError: an object is neither a connection nor a listener.
    """
    views = [view_of(thing) for thing in objects] + [view_of(thing, name) for name, thing in named.items()]
    screen = Screen(sys.stdout)
    if views:
        screen.write(picture(views, screen.width, screen.glyphs) + "\n")
