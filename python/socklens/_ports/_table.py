"""The socket table at one moment: frozen rows that can be filtered, sorted and compared with an earlier look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias, overload

from .._address import Address
from ._diff import PortDiff, between
from ._jupyter import kernel_ports
from ._row import PortRow, Told
from ._wanted import AnyState, tests

if TYPE_CHECKING:
    from .._socklens import _PortRows

_Key: TypeAlias = Callable[[PortRow], object]

_COLUMNS = tuple(
    "local peer state recv_queue send_queue pid program role owner accept_queue accept_limit seconds_left protocol".split()
)


class PortTable(Sequence[PortRow]):
    """TCP sockets of this machine at one moment, as `ports` found them. It does not change when they do: look again.

    It prints as a table, the sockets that share a local port together. ``table[0]`` is a row, ``table[:10]`` a shorter table;
    ``unseen`` says what could not be seen, and why.
    """

    # As a dictionary, so that Shift-Tab explains it.
    __slots__ = {
        "_closed_doors": None,
        "_made": None,
        "_told": None,
        "source": 'Who has told the rows: "sock_diag", "/proc/net/tcp" or "psutil".',
    }

    def __init__(self, rows: Iterable[PortRow] = (), source: str = "", closed_doors: int = 0) -> None:
        self._made: tuple[PortRow, ...] | None = tuple(rows)
        self._told: Sequence[Told] | _PortRows = ()
        self._closed_doors = closed_doors
        self.source = source

    @classmethod
    def told(cls, rows: Sequence[Told] | _PortRows, source: str, closed_doors: int) -> PortTable:
        """The table of these rows, which are looked at when somebody asks."""
        table = cls((), source, closed_doors)
        table._told, table._made = rows, None
        return table

    @property
    def _rows(self) -> tuple[PortRow, ...]:
        if self._made is None:
            told = self._told
            self._made = tuple([PortRow(told[at]) for at in range(len(told))])
        return self._made

    @property
    def unseen(self) -> tuple[str, ...]:
        """What could not be seen of these sockets, and why: sentences."""
        return tuple(_unseen(self._rows, self.source, self._closed_doors))

    @property
    def has_jupyters(self) -> bool:
        """Whether sockets of the notebook's own kernel are among them; see `PortRow.of_jupyter`."""
        return bool(kernel_ports()) and any(row.of_jupyter for row in self._rows)

    def filter(
        self,
        port: int | None = None,
        host: str | Address | None = None,
        state: AnyState | None = None,
        pid: int | None = None,
        mine: bool = False,
        *,
        role: str | None = None,
        where: Callable[[PortRow], object] | None = None,
    ) -> PortTable:
        """The rows that pass everything that is asked, as a new table.

        Args:
            port: rows with this port at either end.
            host: rows with this address at either end, and listeners on all addresses.
            state: a TcpState, its name ("LISTEN", also "ESTAB" and "TIME-WAIT" as ss has it), or several.
            pid: rows of this process.
            mine: only sockets of this process.
            role: "listener", "accepted", "not accepted yet", "client" or "bound".
            where: a function of a row that says whether to keep it.

        Raises:
            ValueError, TypeError, OverflowError: there is no such port, host, state or role.
        """
        asked = tests(port, host, state, pid, mine, role)
        every = (*asked, *(() if where is None else (where,)))
        if not every:
            return self
        kept: Sequence[PortRow] = self._rows
        for test in every:
            kept = [row for row in kept if test(row)]
        return self._with(kept)

    def sort(self, by: str | Callable[[PortRow], object] = "local", *, reverse: bool = False) -> PortTable:
        """The rows in another order, as a new table; rows that have no such value come last.

        Args:
            by: the name of a column, such as "peer" or "recv_queue", or a function of a row.
            reverse: the largest first.

        Raises:
            ValueError: there is no such column.
        """
        key = _column(by) if isinstance(by, str) else by
        known = [(value, row) for row in self._rows if (value := key(row)) is not None]
        known.sort(key=lambda pair: pair[0], reverse=reverse)  # type: ignore[arg-type, return-value]  # values of one kind
        return self._with([row for _, row in known] + [row for row in self._rows if key(row) is None])

    def diff(self, before: PortTable) -> PortDiff:
        """What has changed since an earlier look: the sockets opened, closed, and those that are not as they were.

        Args:
            before: the earlier table, asked with the same arguments.

        Raises:
            TypeError: it is no PortTable.
        """
        if not isinstance(before, PortTable):
            raise TypeError(f"diff() wants the table of an earlier look, not {type(before).__name__}")
        opened, closed, changed = between(before, self)
        return PortDiff(self._with(opened), before._with(closed), changed)

    def to_dicts(self) -> list[dict[str, object]]:
        """The rows as dictionaries of plain values: ``pandas.DataFrame(table.to_dicts())``."""
        return [row.to_dict() for row in self._rows]

    def _with(self, rows: Iterable[PortRow]) -> PortTable:
        return PortTable(rows, self.source, self._closed_doors)

    def __len__(self) -> int:
        return len(self._told if self._made is None else self._made)

    def __iter__(self) -> Iterator[PortRow]:
        return iter(self._rows)

    @overload
    def __getitem__(self, key: int) -> PortRow: ...
    @overload
    def __getitem__(self, key: slice) -> PortTable: ...
    def __getitem__(self, key: int | slice) -> PortRow | PortTable:
        if isinstance(key, slice):
            return self._with(self._rows[key])
        try:
            return self._rows[key]
        except IndexError:
            raise IndexError(f"table[{key}]: the table has {len(self)} rows") from None

    def __eq__(self, other: object) -> bool:
        return self._rows == other._rows if isinstance(other, PortTable) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        from ..display.ports import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from ..display.ports import as_html

        return as_html(self)


def _unseen(rows: Sequence[PortRow], source: str, closed_doors: int) -> Iterator[str]:
    nameless = sum(row.is_nameless for row in rows)
    if nameless:
        whose = "1 socket has" if nameless == 1 else f"{nameless:,} sockets have"
        doors = "1 process" if closed_doors == 1 else f"{closed_doors:,} processes"
        yield f"{whose} no program here: " + (
            f"the open files of {doors} are not for this user to see (/proc/PID/fd); sudo shows them"
            if closed_doors
            else "of another container, or of the system itself"
        )
    if source == "/proc/net/tcp":
        yield "the limits of accept queues, and sockets that are only bound: /proc/net/tcp has neither, and sock_diag was refused"
    if source == "psutil":
        yield "queues, how long TIME_WAIT lasts, which connections nobody has accepted: psutil does not tell"


def _column(name: str) -> _Key:
    if name not in _COLUMNS:
        raise ValueError(f"there is no column {name!r}; sort by one of {', '.join(_COLUMNS)}")

    def value(row: PortRow) -> object:
        of: object = getattr(row, name)
        if isinstance(of, Address):
            return (of.port, of.host)
        return of if of is None or isinstance(of, int | float) else str(of)

    return value
