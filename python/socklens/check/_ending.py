"""How a student's program ended: a frozen value, and its words."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ._result import Mistake


@dataclass(frozen=True)
class Ending:
    """It raised (`error` has the exception in one line, `line` the student's line), was ended by a signal, or exited with a status."""

    status: int | None = None
    error: str = ""
    line: str = ""
    exit_called: bool = False

    @property
    def mistake(self) -> Mistake:
        """What that is called."""
        return Mistake.RAISES if self.error else Mistake.EXITS

    @property
    def words(self) -> str:
        """The end of a sentence that begins with the program."""
        at = f", at `{self.line}`" if self.line else ""
        if self.error:
            return f"raised {self.error}{at}"
        if self.status is not None and self.status < 0:
            try:
                name = signal.Signals(-self.status).name
            except ValueError:
                name = f"signal {-self.status}"
            return f"was ended by {name}"
        return f"ended{'' if self.status is None else f' with status {self.status}'}{at}"
