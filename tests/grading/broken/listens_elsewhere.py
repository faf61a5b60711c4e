"""The address of the lecture, whatever the program is told."""

import socket
import threading


def serve_one(conn):
    with conn, conn.makefile("rb") as lines:
        for line in lines:
            conn.sendall(line)


def serve(host, port):
    with socket.create_server(("127.0.0.101", port)) as listener:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
