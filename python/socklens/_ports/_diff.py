"""What became of the sockets between two looks. Pure: both looks are frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._row import PortRow

if TYPE_CHECKING:
    from ._table import PortTable

_COMPARED = ("state", "pid", "role", "accept_limit")
_COMPARED_OF_OURS = (*_COMPARED, "recv_queue", "send_queue", "accept_queue")


class PortDiff:
    """The difference between two tables of sockets; true in a condition if there is one. It prints as a list of lines.

    A socket is known by its four-tuple and the kernel's own mark of it, so that a successor with the same endpoints is another. Queues are
    compared only where a variable of this program has the socket.
    """

    # As a dictionary, so that Shift-Tab explains them.
    __slots__ = {
        "changed": "Pairs (before, after) of the rows that are in both tables and are not as they were.",
        "closed": "The rows that were there before and are not any more, as they were then.",
        "opened": "The rows that are new.",
    }

    def __init__(self, opened: PortTable, closed: PortTable, changed: tuple[tuple[PortRow, PortRow], ...]) -> None:
        self.opened = opened
        self.closed = closed
        self.changed = changed

    def __bool__(self) -> bool:
        return bool(self.opened or self.closed or self.changed)

    def __repr__(self) -> str:
        from ..display.ports import diff_text

        return diff_text(self)

    def _repr_html_(self) -> str:
        from ..display.ports import diff_html

        return diff_html(self)


def between(
    before: Sequence[PortRow], after: Sequence[PortRow]
) -> tuple[list[PortRow], list[PortRow], tuple[tuple[PortRow, PortRow], ...]]:
    """The rows opened, the rows closed, and the pairs of rows that differ."""
    old = {row.key: row for row in before}
    new = {row.key for row in after}
    opened = [row for row in after if row.key not in old]
    closed = [row for row in before if row.key not in new]
    both = [(old[row.key], row) for row in after if row.key in old]
    return opened, closed, tuple(pair for pair in both if differences(*pair))


def differences(before: PortRow, after: PortRow) -> list[str]:
    """The names of what is not as it was. Time that passes is no difference; queues are compared only where a variable has the socket:
    those of others, such as the notebook's own connections, change all the time.
    """
    names = _COMPARED if before.owner is None and after.owner is None else _COMPARED_OF_OURS
    return [name for name in names if getattr(before, name) != getattr(after, name)]
