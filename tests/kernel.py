"""A real ipykernel, driven as JupyterLab drives it: cells are run with or without an id, interrupted, and asked about."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

DEADLINE = 30.0


@dataclass
class Ran:
    """What one run of a cell gave."""

    number: int = 0
    printed: str = ""
    result: str = ""
    error: str = ""
    message: str = ""
    traceback: str = ""
    shown: list[dict[str, str]] = field(default_factory=list)
    """What was displayed, each with its forms by their MIME types."""
    order: list[str] = field(default_factory=list)
    """The kinds of messages, as they came."""


@dataclass
class Running:
    """A cell that is being run."""

    client: BlockingKernelClient
    id: str
    ran: Ran = field(default_factory=Ran)

    def until(self, printed: str = "") -> Ran:
        """Collects what comes until it has printed that, or else until its end."""
        while not printed or printed not in self.ran.printed:
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if message["parent_header"].get("msg_id") != self.id:
                continue
            content = message["content"]
            self.ran.order.append(message["msg_type"])
            match message["msg_type"]:
                case "stream":
                    self.ran.printed += content["text"]
                case "execute_input":
                    self.ran.number = content["execution_count"]
                case "execute_result":
                    self.ran.result = content["data"]["text/plain"]
                case "display_data":
                    self.ran.shown.append(content["data"])
                case "error":
                    self.ran.error, self.ran.message = content["ename"], content["evalue"]
                    self.ran.traceback = plain("\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    return self.ran
        return self.ran


class Kernel:
    """A kernel and the one client that uses it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager = manager
        self._client = client

    def start(self, code: str, cell: str | None = None) -> Running:
        """Begins to run a cell; `cell` is the id that JupyterLab and VS Code send along and nbclient does not."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": False}
        metadata = {} if cell is None else {"cellId": cell}
        request = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(request)
        return Running(self._client, request["header"]["msg_id"])

    def run(self, code: str, cell: str | None = None) -> Ran:
        """Runs a cell to its end."""
        return self.start(code, cell).until()

    def do(self, code: str, cell: str | None = None) -> Ran:
        """Runs a cell that must not fail."""
        ran = self.run(code, cell)
        assert not ran.error, ran.traceback
        return ran

    def interrupt(self) -> None:
        """What the stop button does."""
        self._manager.interrupt_kernel()

    def help(self, code: str) -> str:
        """What Shift-Tab shows with the cursor behind this code."""
        asked = self._client.inspect(code, len(code))
        while True:
            reply = self._client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == asked:
                return plain(reply["content"]["data"].get("text/plain", ""))


def plain(text: str) -> str:
    """Without colors."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Starts a kernel, and shuts it down."""
    manager: Any = KernelManager()
    manager.start_kernel(stderr=subprocess.DEVNULL)  # where it says that TCP is not encrypted; this is loopback
    try:
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=60)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
