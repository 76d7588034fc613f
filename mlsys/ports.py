"""A pattern's ports: which they are, and whether its services can listen on them, told before these are started."""

import errno
import os
import random
import socket
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import psutil

from . import folder
from .errors import StartupError
from .processes import marked
from .settings import Settings

_GIVEN = range(10000, 32000)
_CLAIMS = 200
_claims: deque[int] = deque()  # UDP sockets of the same numbers: a claim that ends with the process


def choose(directory: Path, settings: Settings) -> dict[str, int]:
    """The port of each variable that the Procfile names, from the environment or its default; PORT is always there.

    Raises: StartupError if a value is no port, or one port is wanted twice.
    """
    chosen = {"PORT": settings.port}
    for name, default in folder.ports(directory).items():
        chosen[name] = _port(name, os.environ.get(name) or str(default))
    for name, port in chosen.items():
        if twins := [other for other in chosen if other != name and chosen[other] == port]:
            raise StartupError(f"{name}={port} and {twins[0]}={port} are one port: set another for one of them.")
    return chosen


def _port(name: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise StartupError(f"{name}={value!r} is not valid: a port is a number from 1 to 65535.")
    return int(value)


def free(names: Iterable[str]) -> dict[str, int]:
    """A different free port of 127.0.0.1 for each name, as `free_port` gives them."""
    return {name: free_port() for name in names}


def free_port() -> int:
    """A free port of 127.0.0.1, which no other caller, of any process, is given while this process lives
    and until this one was given 200 more.

    It lies outside the ports that systems give to connections, so that none of these takes it before it is used.
    Raises: StartupError.
    """
    for port in random.sample(_GIVEN, len(_GIVEN)):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            claim.close()
            continue
        _claims.append(claim.detach())
        if len(_claims) > _CLAIMS:
            os.close(_claims.popleft())
        return port
    raise StartupError(f"no port of 127.0.0.1 from {_GIVEN[0]} to {_GIVEN[-1]} is free.")


def refuse_busy(directory: Path, host: str, chosen: dict[str, int]) -> None:
    """Raises: StartupError if nothing can listen on one of the ports; `directory` is the pattern that wants to."""
    for name, port in chosen.items():
        _refuse_busy(directory, host, name, port)


def _refuse_busy(directory: Path, host: str, name: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartupError(_who_has(name, port, directory)) from None
            raise StartupError(
                f"HOST={host} {name}={port} cannot be listened on ({error.strerror}): set "
                f"HOST=127.0.0.1 (some shells and conda export another), and a {name} of 1024 or more."
            ) from None


def _who_has(name: str, port: int, directory: Path) -> str:
    another = f"choose another port: {name}={port + 1} make run"
    try:
        holder = _holder(port)
        if holder and holder in marked(str(directory)):
            return f"port {port} is in use by this pattern already: `make stop` ends it, or {another}."
        who = f" by {holder.name()} (process {holder.pid})" if holder else ""
    except psutil.Error:  # it ended meanwhile
        who = ""
    return f"port {port} is in use{who}: end that, or {another}."


def _holder(port: int) -> psutil.Process | None:
    """The process that listens on the port, if this user may know it. Raises: psutil.NoSuchProcess."""
    for connection in psutil.net_connections("tcp"):
        if (
            connection.laddr
            and connection.laddr.port == port
            and connection.status == psutil.CONN_LISTEN
            and connection.pid
        ):
            return psutil.Process(connection.pid)
    return None
