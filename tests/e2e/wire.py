"""Requests as the bytes on a connection, for what a well-behaved client cannot send or see."""

import contextlib
import re
import socket
from pathlib import Path

from mlsys.testing import Server

TARGET = "chapter4_serving_patterns.web_single_pattern.app:create_app"
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
FLOWER = b'{"data":[[5.1,3.5,1.4,0.2]]}'
LENGTH = b"Content-Length: 28\r\n"
REQUEST = HEAD + LENGTH + b"\r\n" + FLOWER


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read(connection: socket.socket) -> bytes:
    """All that is answered until the server closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    return answer


def send(server: Server, *parts: bytes) -> bytes:
    """Send, stop sending, and return all that is answered."""
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # a server that has refused may close first
            connection.sendall(b"".join(parts))
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


def is_served(server: Server) -> bool:
    answer = send(server, HEAD, LENGTH, b"Connection: close\r\n\r\n", FLOWER)
    return answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'{"prediction":[0.9' in answer


def both_serve(server: Server) -> bool:
    """Whether each of two workers has said that it serves."""
    started = re.findall(r"Started server process \[(\d+)\]", server.log.read_text())
    return len(server.workers()) == 2 and {str(pid) for pid in server.workers()} <= set(started)


def metric(server: Server, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def errors_in(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if '"level":"error"' in line or "Traceback" in line]
