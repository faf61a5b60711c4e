"""Which ports the notebook's own kernel has in this process. Looks at what ipykernel says of itself, and asks nothing without one."""

from __future__ import annotations

import sys
from typing import Any

_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
"""As in the connection file, by which JupyterLab finds the kernel (jupyter-client, "Connection files")."""


def kernel_ports() -> frozenset[int]:
    """The ports of the connection file, and the one by which output of child processes comes; empty where there is no such kernel."""
    module = sys.modules.get("ipykernel.kernelapp")
    if module is None or not module.IPKernelApp.initialized():
        return frozenset()
    app: Any = module.IPKernelApp.instance()
    if getattr(app, "transport", "tcp") != "tcp":
        return frozenset()
    found = [getattr(app, name, 0) for name in _PORTS]
    found.append(getattr(getattr(app, "iopub_thread", None), "_pipe_port", 0))
    return frozenset(port for port in found if port)
