"""Each piece is decoded when it comes, perhaps in the middle of a character."""

import socket
import threading


def serve_one(conn):
    rest = ""
    with conn:
        while data := conn.recv(4096):
            lines, newline, rest = (rest + data.decode()).rpartition("\n")
            conn.sendall((lines + newline).encode())


def serve(host, port):
    with socket.create_server((host, port)) as listener:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
