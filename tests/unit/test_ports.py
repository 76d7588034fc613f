"""A port or a host that cannot be had is one sentence that says what to do."""

import os
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from mlsys import folder, ports
from mlsys.errors import StartupError
from mlsys.ports import free_port, refuse_busy
from mlsys.settings import Settings


def test_a_free_port_is_let_pass(tmp_path: Path) -> None:
    refuse_busy(tmp_path, "127.0.0.1", {"PORT": free_port()})


@pytest.mark.parametrize("host", ["no host", "nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machines_is_refused_with_what_to_set(host: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=rf"^HOST={host} PORT=8000 cannot .*: set HOST=127\.0\.0\.1 \(.*\), and"):
        refuse_busy(tmp_path, host, {"PORT": 8000})


def test_a_busy_port_is_refused_and_another_is_offered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        expected = (
            f"port {port} is in use by {psutil.Process().name()} (process {os.getpid()}): "
            f"end that, or choose another port: PORT={port + 1} make run."
        )
        with pytest.raises(StartupError) as refusal:
            refuse_busy(tmp_path, "127.0.0.1", {"PORT": port})
    assert str(refusal.value) == expected


def test_a_holder_that_ends_while_it_is_looked_at_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        seen = next(one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port)
        monkeypatch.setattr(psutil, "net_connections", lambda _: [seen._replace(pid=gone.pid)])
        with pytest.raises(StartupError, match=rf"^port {port} is in use: end that, or choose"):
            refuse_busy(tmp_path, "127.0.0.1", {"PORT": port})


PROCFILE = "front: serve\nback: env A=1 server --http ${PORT:-8501} --grpc ${BACK_GRPC_PORT:-8500}\n"


@pytest.fixture
def pattern(tmp_path: Path) -> Path:
    (tmp_path / "Procfile").write_text(PROCFILE)
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, {"PORT": 8501, "BACK_GRPC_PORT": 8500}),
        ({"PORT": "1", "BACK_GRPC_PORT": "65535"}, {"PORT": 1, "BACK_GRPC_PORT": 65535}),
        ({"PORT": "", "BACK_GRPC_PORT": ""}, {"PORT": 8501, "BACK_GRPC_PORT": 8500}),
    ],
)
def test_the_procfile_names_the_ports_and_the_environment_may_choose_others(
    pattern: Path, environment: dict[str, str], chosen: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ports.choose(pattern, Settings()) == chosen
    command = folder.fill(folder.commands(pattern)["back"], chosen)
    assert command == f"env A=1 server --http {chosen['PORT']} --grpc {chosen['BACK_GRPC_PORT']}"


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "²"])
def test_what_is_no_port_is_refused_with_its_variable(
    pattern: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACK_GRPC_PORT", value)
    with pytest.raises(StartupError, match=rf"^BACK_GRPC_PORT='{value}' is not valid: a port is a number from 1"):
        ports.choose(pattern, Settings())


def test_one_port_for_two_is_refused(pattern: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACK_GRPC_PORT", "8501")
    with pytest.raises(StartupError, match=r"^PORT=8501 and BACK_GRPC_PORT=8501 are one port: set another"):
        ports.choose(pattern, Settings())


def test_a_pattern_that_names_no_port_has_the_settings(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: serve\n")
    assert ports.choose(tmp_path, Settings(port=8123)) == {"PORT": 8123}


def test_free_ports_differ() -> None:
    assert len(set(ports.free(["A", "B", "C"]).values())) == 3


def test_a_port_that_was_given_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_GIVEN", range(port := free_port(), port + 1))
    with pytest.raises(StartupError, match=rf"^no port of 127\.0\.0\.1 from {port} to {port} is free\.$"):
        free_port()


def test_a_port_on_which_something_listens_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        monkeypatch.setattr(ports, "_GIVEN", [busy.getsockname()[1]])
        with pytest.raises(StartupError):
            free_port()
