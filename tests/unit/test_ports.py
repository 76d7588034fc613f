"""A port or a host that cannot be had is one sentence that says what to do."""

import os
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from mlsys.errors import StartupError
from mlsys.ports import refuse_a_busy_port
from mlsys.settings import Settings
from mlsys.testing import free_port


def test_a_free_port_is_let_pass(tmp_path: Path) -> None:
    refuse_a_busy_port(tmp_path, Settings(host="127.0.0.1", port=free_port()))


@pytest.mark.parametrize("host", ["no host", "nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machines_is_refused_with_what_to_set(host: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=rf"^HOST={host} PORT=8000 cannot .*: set HOST=127\.0\.0\.1 \(.*\), and"):
        refuse_a_busy_port(tmp_path, Settings(host=host, port=8000))


def test_a_busy_port_is_refused_and_another_is_offered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        expected = (
            f"port {port} is in use by {psutil.Process().name()} (process {os.getpid()}): "
            f"end that, or choose another port: PORT={port + 1} make run."
        )
        with pytest.raises(StartupError) as refusal:
            refuse_a_busy_port(tmp_path, Settings(host="127.0.0.1", port=port))
    assert str(refusal.value) == expected


def test_a_holder_that_ends_while_it_is_looked_at_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        seen = next(one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port)
        monkeypatch.setattr(psutil, "net_connections", lambda _: [seen._replace(pid=gone.pid)])
        with pytest.raises(StartupError, match=rf"^port {port} is in use: end that, or choose"):
            refuse_a_busy_port(tmp_path, Settings(host="127.0.0.1", port=port))
