"""Short tracebacks: an error that a public call raises for its caller shows the caller's line, and none of this package's own, as the calls
in Rust do. What the caller's own code raises inside, an answer's function or a signal handler, shows its lines too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_OURS = __name__.partition(".")[0]


class Door:
    """``with door:`` around what a public function does. What is raised inside goes on as if the caller's line had raised it.

    Only errors that tell a caller what to do otherwise; anything else is a fault of this package, and keeps its whole traceback.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The interpreter goes on with the exception's own traceback, and adds the frames from the caller's on (RERAISE).
        if not isinstance(error, (OSError, TypeError, ValueError, OverflowError, RuntimeError)) or isinstance(
            error, RecursionError
        ):
            return
        while trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _OURS:
            trace = trace.tb_next
        error.__traceback__ = trace
        if trace is None:
            error.from_socklens = True  # type: ignore[union-attr]  # the traceback no longer tells


door = Door()
