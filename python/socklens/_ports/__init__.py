"""Ports in use, this machine's addresses, names and what is known of a port: looks at the kernel's tables. Nothing here opens a
connection or changes what it looks at.
"""

from __future__ import annotations

from ._addresses import AddressTable, MachineAddress, addresses
from ._check import PortCheck, port_check
from ._diff import PortDiff
from ._look import ports
from ._names import Resolved, resolve
from ._row import Owner, PortRow, Role
from ._table import PortTable

__all__ = [
    "AddressTable",
    "MachineAddress",
    "Owner",
    "PortCheck",
    "PortDiff",
    "PortRow",
    "PortTable",
    "Resolved",
    "Role",
    "addresses",
    "port_check",
    "ports",
    "resolve",
]
