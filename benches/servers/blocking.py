"""The standard library's `socketserver`: a thread for each client, written as its documentation shows."""

from __future__ import annotations

import socketserver
import threading

from servers import BACKLOG, HOST, READ


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = BACKLOG
    daemon_threads = True


class _Echo(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while data := self.connection.recv(READ):
            self.connection.sendall(data)


class _Lines(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


HANDLERS = {"echo": _Echo, "lines": _Lines}


def start(service: str) -> int:
    """Serves in threads of their own; gives the port."""
    server = _Server((HOST, 0), HANDLERS[service])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port: int = server.server_address[1]
    return port
