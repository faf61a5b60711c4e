"""What one recv() returns is taken for one line."""

import socket
import threading


def serve_one(conn):
    with conn:
        while data := conn.recv(4096):
            line = data.strip(b"\n")
            conn.sendall(line + b"\n")


def serve(host, port):
    with socket.create_server((host, port)) as listener:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
