"""Ports in use, this machine's addresses, names and what is known of a port: looks at the kernel's tables. Nothing here opens a
connection or changes what it looks at.
"""

from __future__ import annotations

from ._diff import PortDiff
from ._look import ports
from ._row import Owner, PortRow, Role
from ._table import PortTable

__all__ = ["Owner", "PortDiff", "PortRow", "PortTable", "Role", "ports"]
