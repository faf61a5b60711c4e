"""How a student's program ended: a frozen value, and its words."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ._result import Mistake


@dataclass(frozen=True)
class Ending:
    """It raised (`error` has the exception in one line, `line` the student's line), was ended by a signal, or exited with a status.

    `fault` is another reason, as the end of a sentence, for which there is no name: the check could not run it, or has ended it.
    """

    status: int | None = None
    error: str = ""
    line: str = ""
    exit_called: bool = False
    fault: str = ""

    @property
    def mistake(self) -> Mistake | None:
        """What that is called; None where there is no name for it."""
        if self.fault:
            return None
        return Mistake.RAISES if self.error else Mistake.EXITS

    @property
    def words(self) -> str:
        """The end of a sentence that begins with the program."""
        at = f", at `{self.line}`" if self.line else ""
        if self.fault:
            return self.fault
        if self.error:
            return f"raised {self.error}{at}"
        if self.status is not None and self.status < 0:
            try:
                name = signal.Signals(-self.status).name
            except ValueError:
                name = f"signal {-self.status}"
            return f"was ended by {name}"
        return f"ended{'' if self.status is None else f' with status {self.status}'}{at}"
