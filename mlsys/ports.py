"""Whether a service can listen on its address, told before it is started."""

import errno
import socket
from pathlib import Path

import psutil

from .errors import StartupError
from .processes import marked
from .settings import Settings


def refuse_a_busy_port(directory: Path, settings: Settings) -> None:
    """Raises: StartupError if nothing can listen on the settings' address; `directory` is the pattern that wants to."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartupError(_who_has(settings.port, directory)) from None
            raise StartupError(
                f"HOST={settings.host} PORT={settings.port} cannot be listened on ({error.strerror}): set "
                "HOST=127.0.0.1 (some shells and conda export another), and a PORT of 1024 or more."
            ) from None


def _who_has(port: int, directory: Path) -> str:
    another = f"choose another port: PORT={port + 1} make run"
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
