"""The instructor's solution. What stands between the marks is taken out of the notebook that students get."""

import socket
import threading


def serve(host, port):
    """Sends each line of each client back to it."""
    ### BEGIN SOLUTION

    def serve_one(conn):
        with conn, conn.makefile("rb") as lines:
            for line in lines:
                conn.sendall(line)

    with socket.create_server((host, port)) as listener:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=serve_one, args=(conn,), daemon=True).start()
    ### END SOLUTION
