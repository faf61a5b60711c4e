"""Errors that investigate: `explain` finds the cause of an error, from what the error tells and what this machine's own tables say.

Never raises, takes at most 50 ms of work, sends nothing to any network, and changes nothing: it only looks. Nothing here runs when an error
is raised: one that the program expects, and catches, costs what it always did.
"""

from __future__ import annotations

import errno
import re
import sys
from typing import TYPE_CHECKING

from . import _argument, _opening, _scene, _servers, _talking
from ._budget import Budget
from ._case import Case
from ._diagnosis import Cause, Diagnosis, Fact
from ._showing import explain_errors

if TYPE_CHECKING:
    from ..server import ServerError

__all__ = ["Cause", "Diagnosis", "Fact", "explain", "explain_errors"]

_TEXT_GIVEN = re.compile("takes bytes, not str|bytes-like object is required, not '?str")
_OPENS = ("connect", "wait_connected")
_BY_NUMBER = {
    errno.ECONNREFUSED: _opening.refused,
    errno.EADDRINUSE: _opening.in_use,
    errno.EADDRNOTAVAIL: _opening.not_available,
    errno.EACCES: _opening.forbidden,
    errno.EPERM: _opening.forbidden,
    errno.ENETUNREACH: _opening.unreachable,
    errno.EHOSTUNREACH: _opening.unreachable,
    errno.ECONNRESET: _talking.reset,
    errno.ECONNABORTED: _talking.reset,
    errno.EPIPE: _talking.broken_pipe,
    errno.ESHUTDOWN: _talking.broken_pipe,
    errno.ENOTCONN: _talking.not_connected,
    errno.EBADF: _talking.closed,
    errno.EAGAIN: _talking.waited,
}
_BY_CLASS = {
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    ConnectionAbortedError: errno.ECONNABORTED,
    BrokenPipeError: errno.EPIPE,
}
_OF_FILES = (errno.EACCES, errno.EPERM, errno.EBADF, errno.EAGAIN, errno.EPIPE)
_ASIDE = "Read its message; socklens explains the errors of sockets"


def explain(error: BaseException | ServerError | None = None) -> Diagnosis:
    """Find out why an error of a socket happened, and return the diagnosis: its cause, the evidence, and the next step.

    Any error of a socket can be explained: those of socklens, of Python's ``socket`` and of ``asyncio``. The sooner it is asked, the more
    there is to see: the evidence is what this machine's tables show *now*, and each piece names the table, option or call it is from.

    Args:
        error: the exception, or its record in ``server.errors``; without one, that which is being handled, or else the last that nobody
            caught (in a notebook, of the last cell that failed).

    Returns:
        A `Diagnosis` in at most 50 ms of work, or 250 ms on the clock where others keep the machine busy (the first call loads the code
        besides). What could not be looked at in that time is said in ``unseen``. Nothing is sent to any network, no byte is read, and
        nothing is raised: an error that is not of a socket has the cause ``Cause.NOT_KNOWN``.
    """
    if error is None:
        error = _latest()
    recorded = getattr(sys.modules.get("socklens.server"), "ServerError", None)
    record = None
    if recorded is not None and isinstance(error, recorded):
        record, error = error, error.exception
    if not isinstance(error, BaseException):
        what = "there is no error yet" if error is None else f"{type(error).__name__} is not an exception"
        return Diagnosis(what, Cause.NOT_KNOWN, (), "Call it after an error, or with one: sl.explain(error)")
    budget = Budget()
    try:
        return _explained(error, budget, record)
    except Exception as failure:
        # An object of somebody else's may do anything when it is looked at; the error itself is still the news.
        budget.missed("further evidence", f"the look failed with {type(failure).__name__}")
        return Diagnosis(type(error).__name__, Cause.NOT_KNOWN, (), _ASIDE, tuple(budget.unseen))


def _explained(error: BaseException, budget: Budget, record: ServerError | None) -> Diagnosis:
    case = Case(_scene.look(_of_a_socket(error)), budget)
    try:
        cause, step = _verdict(case)
    except (OSError, ValueError) as failure:
        # Closed by another thread between two looks, or no descriptor is free: what was seen before still holds.
        budget.missed("further evidence", failure)
        cause, step = Cause.NOT_KNOWN, _ASIDE
    if cause is Cause.NOT_KNOWN and (found := _servers.raised_by_handler(case, error, record)):
        cause, step = Cause.HANDLER_FAILED, found
    return Diagnosis(case.scene.told, cause, tuple(case.facts), step, tuple(budget.unseen))


def _verdict(case: Case) -> _opening.Verdict:
    scene = case.scene
    error, number = scene.error, scene.number
    kind = type(error).__name__
    if kind == "gaierror" or "is a URL; an endpoint is" in scene.text:
        return _opening.no_name(case)
    if kind == "ClosedError":
        return _talking.closed(case)
    if kind == "IncompleteReadError" and hasattr(error, "partial"):
        return _talking.ended_inside(case)
    if kind == "FrameTooLongError" and hasattr(error, "limit"):
        return _talking.too_long(case)
    if isinstance(error, TypeError) and _TEXT_GIVEN.search(scene.text):
        return _talking.text_given(case)
    if isinstance(error, TimeoutError):
        return (_opening.timed_out if scene.doing in _OPENS else _talking.waited)(case)
    if scene.ours and not isinstance(error, OSError):
        return _argument.refused(case)
    if not isinstance(error, OSError) or (number in _OF_FILES and not _about_a_socket(scene)):
        return Cause.NOT_KNOWN, _ASIDE
    number = _numbered(scene)
    if number == errno.EINVAL and (found := _opening.refused_by_route(case)):
        return found
    look = _BY_NUMBER.get(number)
    return (Cause.NOT_KNOWN, _ASIDE) if look is None else look(case)


def _numbered(scene: _scene.Scene) -> int:
    """The number of an error; asyncio tells it in the message alone where it tried several addresses, or by the class alone."""
    if scene.number is not None:
        return scene.number
    if found := re.search(r"\[Errno (\d+)\]", scene.text):
        return int(found[1])
    return next((number for kind, number in _BY_CLASS.items() if isinstance(scene.error, kind)), 0)


def _about_a_socket(scene: _scene.Scene) -> bool:
    """Files and pipes have these numbers too."""
    return getattr(scene.error, "filename", None) is None and bool(scene.ours or scene.thing is not None or scene.doing)


def _of_a_socket(error: BaseException) -> BaseException:
    """The error of a socket that stands behind this one: in a group, as a reason (urllib), as what it came from."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < 20:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, OSError) and one.errno is not None and not hasattr(one, "reason"):
            return one
        behind = [*getattr(one, "exceptions", ())[:5], getattr(one, "reason", None), one.__cause__, one.__context__]
        waiting += [other for other in behind if isinstance(other, BaseException)]
    return error


def _latest() -> BaseException | None:
    """The exception that is being handled, or else the last that nobody caught."""
    handled = sys.exc_info()[1]
    return handled if handled is not None else getattr(sys, "last_exc", getattr(sys, "last_value", None))
