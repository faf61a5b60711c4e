"""accept() stands before the loop."""

import socket


def serve(host, port):
    with socket.create_server((host, port)) as listener:
        conn, _ = listener.accept()
        while True:
            with conn.makefile("rb") as lines:
                for line in lines:
                    conn.sendall(line)
