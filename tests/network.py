"""Networks that a test needs: IPv6 on loopback, or a private network namespace with its own names and ports, in a child process."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

from helpers import lacking, need

# Loopback comes up by hand in a new namespace (netdevice(7)).
PRELUDE = """\
import fcntl, socket, struct
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING
import socklens as sl

def outcome(call, *args, **kwargs):
    try:
        return repr(call(*args, **kwargs))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

"""


def need_ipv6() -> None:
    """Skips the test where ::1 cannot be had."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        lacking(f"IPv6 on loopback: {error}")


def free_port() -> int:
    """A free port outside the range that the kernel gives ports from by itself: nobody takes it while it is free for a moment."""
    for port in random.sample(range(20000, 32000), 1000):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise AssertionError("no port is free")


def in_private_network(code: str, scratch: Path, *, hosts: str = "", ports: str = "32768 60999") -> list[str]:
    """Runs Python code in a network of its own and returns the lines that it prints.

    `hosts` is its /etc/hosts, `ports` the range that its kernel chooses ports from (ip(7), ip_local_port_range). The code has
    `sl`, and `outcome(call, …)`: what a call returned or raised, as text.
    """
    (scratch / "hosts").write_text(hosts or "127.0.0.1 localhost\n")
    (scratch / "code.py").write_text(PRELUDE + textwrap.dedent(code))
    private = [need("unshare"), "--map-root-user", "--net", "--mount", "sh", "-c"]
    if subprocess.run([*private, "mount --bind /dev/null /etc/hosts"], capture_output=True, check=False).returncode:
        lacking("private network namespaces")
    prepare = f"mount --bind hosts /etc/hosts && echo {ports} > /proc/sys/net/ipv4/ip_local_port_range && "
    done = subprocess.run(
        [*private, prepare + 'exec "$0" -W ignore code.py', sys.executable],
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
