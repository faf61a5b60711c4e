"""A thread for each client. Prints its port."""

import socket
import threading


def serve(conn: socket.socket) -> None:
    with conn:
        while data := conn.recv(1024):
            conn.sendall(data)


with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        conn, address = server.accept()
        threading.Thread(target=serve, args=(conn,), daemon=True).start()
