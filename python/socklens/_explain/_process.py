"""Whose sockets they are: the variables of this program that hold one, and the programs that have a row of the kernel's table open.

Objects are found by looking into the failing frames, the notebook's variables and plain containers of them; nothing of theirs is called
but what answers from memory.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from .. import Connection, Listener, _cells, _listen, _programs
from .._address import same
from ..display.escape import escape
from . import _scene, _servers

if TYPE_CHECKING:
    from types import FrameType

    from .._address import Address
    from ._budget import Budget
    from ._scene import Ends, Scene
    from ._tables import Row

Named = tuple[str, object]

_KINDS = (Connection, Listener, socket.socket)
_NOT_THEIRS = ("socklens", "IPython", "ipykernel", "asyncio", "threading", "concurrent", "pluggy", "_pytest")
_DEEPEST = 40  # frames of one thread
_FREE = 1024  # variables that are looked at in any case
_MOST = 20000  # elements of one container
_VARIABLES = "further variables of this program"


def objects(scene: Scene, budget: Budget) -> list[Named]:
    """Every socket object that this program can name, each once, with its name; ``""`` where only a listener knows it. Looked for once."""
    if scene.objects is None:
        scene.objects = []
        seen: set[int] = set()
        for looked, (name, thing) in enumerate(_candidates(scene)):
            # The first of them cost nothing, and tell the most.
            if looked >= _FREE and looked % 64 == 0 and budget.spent(_VARIABLES):
                break
            if isinstance(thing, _KINDS) and id(thing) not in seen:
                seen.add(id(thing))
                scene.objects.append((name, thing))
    return scene.objects


def _in_time(scene: Scene, budget: Budget) -> Iterator[Named]:
    """The same one after the other, for whoever asks the kernel about each, as far as the time goes."""
    for looked, named in enumerate(objects(scene, budget)):
        if looked >= _FREE and looked % 64 == 0 and budget.spent(_VARIABLES):
            return
        yield named


def _candidates(scene: Scene) -> Iterator[Named]:
    if scene.thing is not None:
        name = next((name for names in scopes(scene) for name, other in names if other is scene.thing), "")
        yield name, scene.thing
    for names in _near(scene):
        yield from names
        for name, value in names:
            yield from _parts(name, value)
    # Before the handlers' own variables, which have the same name for each client.
    for name, server in _servers.servers(scene):
        for i, client in enumerate(server.clients):
            yield f"{name}{_servers.CLIENTS}{i}]", client.conn
    for names in _elsewhere(scene):
        yield from names
        for name, value in names:
            yield from _parts(name, value)
    for listener in _listen.live():
        yield "", listener
        for conn in listener.connections:
            yield "", conn


def _parts(name: str, value: object) -> Iterator[Named]:
    """What a container of sockets has in it; the first elements tell whether it is one."""
    if not isinstance(value, (dict, list, tuple, set, frozenset)):
        return
    elements = value.values() if isinstance(value, dict) else value
    if not any(isinstance(element, _KINDS) for element in islice(elements, 4)):
        return
    if isinstance(value, dict):
        for key, part in list(value.items())[:_MOST]:
            yield f"{name}[{_key(key)}]", part
    else:
        ordered = isinstance(value, (list, tuple))
        for i, part in enumerate(list(value)[:_MOST]):
            yield f"{name}[{i}]" if ordered else f"one of {name}", part


def scopes(scene: Scene) -> Iterator[list[Named]]:
    """Where variables are."""
    yield from _near(scene)
    yield from _elsewhere(scene)


def _near(scene: Scene) -> Iterator[list[Named]]:
    """The frames that failed and their modules, the notebook or main program."""
    done: list[object] = []
    for frame in _theirs(scene.frames):
        yield _public(frame.f_locals)
        if not any(frame.f_globals is other for other in done):
            done.append(frame.f_globals)
            yield _public(frame.f_globals)
    yield _public(_cells.namespace())


def _elsewhere(scene: Scene) -> Iterator[list[Named]]:
    """The frames that go on."""
    for frame in _theirs(_frames(scene)):
        if frame.f_locals is not frame.f_globals:
            yield _public(frame.f_locals)


def _theirs(frames: Iterable[FrameType]) -> Iterator[FrameType]:
    for frame in frames:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _NOT_THEIRS:
            yield frame


def _frames(scene: Scene) -> Iterator[FrameType]:
    """Those that go on: of this thread, and of the others, such as a server's."""
    mine = sys._getframe()
    for top in (mine, *(frame for frame in sys._current_frames().values() if frame is not mine)):
        frame: FrameType | None = top
        for _ in range(_DEEPEST):
            if frame is None:
                break
            if frame not in scene.frames:
                yield frame
            frame = frame.f_back


def _public(names: dict[str, object]) -> list[Named]:
    # IPython keeps results in names like _ and _3; a copy, since another thread may add to it.
    return [(name, value) for name, value in list(names.items()) if name[:1] != "_"]


def _key(key: object) -> str:
    return escape(repr(key)[:40]) if isinstance(key, (str, int)) else "…"


def partner(scene: Scene, ends: Ends, budget: Budget) -> Named | None:
    """The other end of a connection, if this program has it."""
    local, peer = ends
    return next(
        (
            (name, thing)
            for name, thing in _in_time(scene, budget)
            if thing is not scene.thing and _is_between(thing, peer, local)
        ),
        None,
    )


def _is_between(thing: object, local: Address | None, peer: Address | None) -> bool:
    ends = _scene.ends_of(thing)
    return ends is not None and same(ends[0], local) and same(ends[1], peer)


def itself(scene: Scene, ends: Ends, budget: Budget) -> Named | None:
    """The object that has these endpoints, if this program can name it."""
    if scene.thing is not None:
        return next(((name, thing) for name, thing in objects(scene, budget) if thing is scene.thing), None)
    return next(((name, thing) for name, thing in _in_time(scene, budget) if _scene.ends_of(thing) == ends), None)


def is_closed(thing: object) -> bool:
    """Whether this program has closed it."""
    if isinstance(thing, (Connection, Listener)):
        return thing.closed
    return isinstance(thing, socket.socket) and thing.fileno() < 0


def closing(thing: object, given_away: bool = False) -> str:
    """Where this program closed it, or gave its socket away, as the end of a sentence."""
    where = thing.closed_at if isinstance(thing, (Connection, Listener)) else None
    what = "this program has given its socket away" if given_away else "this program has closed it"
    return f"{what}, in {escape(where)}" if where else what


def by_name(named: Named) -> str:
    """What a next step calls it."""
    return f"`{escape(named[0])}`" if named[0] else "the other end"


def called(named: Named, otherwise: str = "a socket without a name") -> str:
    """What to call it: its variable, and where it was made."""
    name, thing = named
    if _servers.CLIENTS in name:
        return f"`{escape(name)}`"  # the server has made it, not a line of the program
    made = f", made in {escape(thing.created_at)}" if isinstance(thing, (Connection, Listener)) else ""
    return (f"`{escape(name)}`" if name else otherwise) + made


class Owners:
    """Finds the processes that have sockets open. This process first; others of this user as far as the time goes."""

    def __init__(self, scene: Scene, budget: Budget) -> None:
        self._scene = scene
        self._budget = budget
        self._mine: set[int] | None = None
        self._others: dict[int, int] = {}
        self._scan: Iterator[tuple[int, int]] | None = None

    def describe(self, row: Row) -> str:
        """Who has it, in words."""
        if not row.inode:
            return "no process (any more)"
        if row.inode in self._inodes():
            return self._of_this_program(row)
        if row.uid != os.geteuid() and os.geteuid() != 0:
            return f"a program of another user (uid {row.uid}), whose name the kernel tells to that user alone"
        pid = self._known(row) or self._pid(row)
        return "a program whose name was not found" if pid is None else _programs.called(pid, _program(pid))

    def is_known(self, row: Row) -> bool:
        """Whether `describe` can tell which program that is."""
        return bool(row.inode) and (self.mine(row) or (self._known(row) or self._pid(row)) is not None)

    def ending(self, row: Row) -> str:
        """How to end the program that has it, another one than this."""
        pid = (self._known(row) or self._pid(row)) if row.inode else None
        return "Stop that program" if pid is None else _programs.ending(pid)

    def mine(self, row: Row) -> bool:
        """Whether this process has it open."""
        return row.inode in self._inodes()

    def named(self, row: Row) -> Named | None:
        """The object of this program that has the row's address."""
        for name, thing in _in_time(self._scene, self._budget):
            if not is_closed(thing) and _row_is(thing, row):
                return name, thing
        return None

    def server(self, row: Row) -> str | None:
        """How to stop the server or wire of this program that listens there, as code; None if it is for none."""
        named = self.named(row)
        owner = _listen.owner_of(named[1]) if named is not None and isinstance(named[1], Listener) else None
        if owner is None:
            return None
        end = "close()" if type(owner).__name__ == "Wire" else "stop()"
        variable = next((name for names in scopes(self._scene) for name, other in names if other is owner), "")
        known = next((name for name, other in _servers.servers(self._scene) if other is owner), "")
        return f"{variable or known}.{end}" if variable or known else None

    def _of_this_program(self, row: Row) -> str:
        named = self.named(row)
        if named is None:
            return f"this program (process {os.getpid()}; no variable of it was found)"
        owner = _listen.owner_of(named[1]) if isinstance(named[1], Listener) else None
        if owner is not None and isinstance(named[1], Listener):
            name = next((name for names in scopes(self._scene) for name, other in names if other is owner), "")
            kind, began = ("wire", "made") if type(owner).__name__ == "Wire" else ("server", "started")
            called_owner = f"the {kind} `{name}`" if name else f"a {kind} without a name"
            return f"this program ({called_owner}, {began} in {escape(named[1].created_at)})"
        return f"this program ({called(named)})"

    def _inodes(self) -> set[int]:
        """The sockets that this process has open (fstat(2) of each descriptor)."""
        if self._mine is None:
            self._mine = set()
            for number in _numbers("/proc/self/fd"):
                if self._budget.spent("whether this program has it: more of its descriptors"):
                    break
                with suppress(OSError):  # closed meanwhile
                    self._mine.add(os.fstat(number).st_ino)
        return self._mine

    def _known(self, row: Row) -> int | None:
        """The process that the error itself has found, when it was raised; it may have ended since."""
        holder = getattr(self._scene.error, "_holder", None)
        if (
            not isinstance(holder, tuple)
            or len(holder) != 3
            or holder[0] != row.local
            or not isinstance(holder[1], int)
        ):
            return None
        return holder[1] if os.path.exists(f"/proc/{holder[1]}") else None

    def _pid(self, row: Row) -> int | None:
        if row.inode in self._others:
            return self._others[row.inode]
        if self._scan is None:
            self._scan = _open_by_others(row.uid)
        for inode, pid in self._scan:
            self._others.setdefault(inode, pid)
            if inode == row.inode:
                return pid
            if self._budget.spent("whose it is: more of the processes"):
                return None
        return None


def _open_by_others(uid: int | None) -> Iterator[tuple[int, int]]:
    """The sockets that other processes of this user have open, and whose they are."""
    # The youngest first: whoever is asked about is more likely a server just started than one of the system's.
    for pid in sorted(_numbers("/proc"), reverse=True):
        with suppress(OSError):  # ended meanwhile, or another user's
            if os.stat(f"/proc/{pid}").st_uid != uid and os.geteuid() != 0:
                continue
            for number in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{number}")
                    if target.startswith("socket:["):
                        yield int(target[8:-1]), pid
        yield 0, 0  # whoever scans looks at the time between two processes


def _row_is(thing: object, row: Row) -> bool:
    if isinstance(thing, socket.socket):
        with suppress(OSError):
            return os.fstat(thing.fileno()).st_ino == row.inode
        return False
    ends = _scene.ends_of(thing)
    return ends == (row.local, row.peer)


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdecimal()]
    except OSError:
        return []


def _program(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="surrogateescape") as file:
            return escape(file.read().rstrip("\n"))
    except OSError:
        return None
