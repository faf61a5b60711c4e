"""One thread and a selector: what cannot be sent at once waits in a buffer of the client's. Prints its port."""

import contextlib
import selectors
import socket

selector = selectors.DefaultSelector()
waiting: dict[socket.socket, bytearray] = {}


def accept(server: socket.socket) -> None:
    conn, _ = server.accept()
    conn.setblocking(False)
    waiting[conn] = bytearray()
    selector.register(conn, selectors.EVENT_READ)


def serve(conn: socket.socket, events: int) -> None:
    buffer = waiting[conn]
    if events & selectors.EVENT_READ:
        data = conn.recv(4096)
        if not data:
            conn.setblocking(True)
            conn.sendall(buffer)
            selector.unregister(conn)
            del waiting[conn]
            conn.close()
            return
        buffer += data
    if buffer:
        with contextlib.suppress(BlockingIOError):  # the selector tells when there is room again
            del buffer[: conn.send(buffer)]
    # While something waits it is not read: a client that does not take its echo cannot fill this program's memory.
    selector.modify(conn, selectors.EVENT_WRITE if buffer else selectors.EVENT_READ)


with socket.create_server(("127.0.0.1", 0)) as server:
    server.setblocking(False)
    selector.register(server, selectors.EVENT_READ)
    print(server.getsockname()[1], flush=True)
    while True:
        for key, events in selector.select():
            if key.fileobj is server:
                accept(server)
            else:
                assert isinstance(key.fileobj, socket.socket)
                serve(key.fileobj, events)
