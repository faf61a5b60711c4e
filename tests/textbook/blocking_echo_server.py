"""The first server of every course: one client at a time, `recv` and `sendall` in a loop. Prints its port."""

import socket

HOST = "127.0.0.1"

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, 0))
    server.listen()
    print(server.getsockname()[1], flush=True)
    while True:
        conn, address = server.accept()
        with conn:
            while data := conn.recv(1024):
                conn.sendall(data)
