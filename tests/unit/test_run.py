import socket
from pathlib import Path

import pytest

from mlsys.errors import SettingsError, StartupError
from mlsys.run import LauncherSettings, refuse_a_busy_port
from mlsys.testing import free_port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104  # not bound
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_url_is_one_that_a_client_here_can_reach(host: str, url: str) -> None:
    assert LauncherSettings(host=host, port=8000).url == url


def test_two_workers_are_started_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKERS", raising=False)
    assert LauncherSettings().workers == 2


def test_the_grace_outlasts_the_drain_of_a_service() -> None:
    assert (
        LauncherSettings.model_fields["stop_grace_s"].default > LauncherSettings.model_fields["drain_timeout_s"].default
    )


def test_a_wrong_setting_of_the_launcher_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOP_GRACE_S", "soon")
    with pytest.raises(SettingsError, match="STOP_GRACE_S='soon' is not valid"):
        LauncherSettings()


def test_a_free_port_is_let_pass(tmp_path: Path) -> None:
    refuse_a_busy_port(tmp_path, LauncherSettings(host="127.0.0.1", port=free_port()))


def test_a_host_that_has_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"^HOST=no host PORT=8000: "):
        refuse_a_busy_port(tmp_path, LauncherSettings(host="no host", port=8000))


def test_a_busy_port_is_refused_and_another_is_offered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(StartupError, match=rf"^port {port} is in use by .*: PORT={port + 1} make run\.$"):
            refuse_a_busy_port(tmp_path, LauncherSettings(host="127.0.0.1", port=port))
