"""Who has finished stays in the list of clients, with an open socket."""

import socket
import threading

clients = []


def serve_one(conn):
    clients.append(conn)
    rest = b""
    while data := conn.recv(4096):
        lines, newline, rest = (rest + data).rpartition(b"\n")
        conn.sendall(lines + newline)


def serve(host, port):
    with socket.create_server((host, port)) as listener:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
