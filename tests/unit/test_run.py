import pytest

from mlsys import workers
from mlsys.errors import SettingsError
from mlsys.run import LauncherSettings


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


@pytest.mark.parametrize("drain_s", [10, 60])
def test_the_grace_outlasts_what_a_service_takes_to_drain_and_to_kill_its_workers(drain_s: int) -> None:
    assert LauncherSettings(drain_timeout_s=drain_s).grace_s > drain_s + workers._EXIT_S + 2


def test_a_grace_that_is_given_is_taken() -> None:
    assert LauncherSettings(stop_grace_s=0.5).grace_s == 0.5


def test_a_wrong_setting_of_the_launcher_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOP_GRACE_S", "soon")
    with pytest.raises(SettingsError, match="STOP_GRACE_S='soon' is not valid"):
        LauncherSettings()
