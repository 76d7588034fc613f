import pytest
from pydantic import SecretStr, ValidationError

from mlsys.errors import SettingsError
from mlsys.settings import Settings


class Locked(Settings):
    """Settings with a secret that has no default."""

    api_key: SecretStr
    pin_code: SecretStr = SecretStr("0000")


def test_settings_come_from_variables_without_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")
    monkeypatch.setenv("LOG_FORMAT", "text")
    assert (Settings().port, Settings().log_format) == (8123, "text")


def test_an_empty_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert Settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "eight"),
        ("WORKERS", "0"),
        ("WORKERS", "1.5"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG", "perhaps"),
        ("MAX_BODY_BYTES", "-1"),
        ("MAX_CONCURRENCY", "0"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("REQUEST_TIMEOUT_S", "nan"),
        ("DRAIN_TIMEOUT_S", "0"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_name_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings()
    sentence = str(caught.value)
    assert sentence.startswith(f"{name}={value!r} is not valid: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_several_wrong_values_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "y")
    with pytest.raises(SettingsError, match=r"PORT='x' .*; WORKERS='y' "):
        Settings()


def test_a_drain_shorter_than_a_request_is_refused_with_both_values() -> None:
    with pytest.raises(SettingsError, match=r"DRAIN_TIMEOUT_S=5 is shorter than REQUEST_TIMEOUT_S=6"):
        Settings(drain_timeout_s=5, request_timeout_s=6)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^API_KEY is not set, and there is no default\.$"):
        Locked()


def test_a_wrong_secret_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"PIN_CODE=\(hidden\) is not valid") as caught:
        Locked(api_key="k", pin_code=1234567)
    assert "1234567" not in str(caught.value)


def test_a_wrong_url_with_a_password_is_named_and_not_shown() -> None:
    with pytest.raises(SettingsError, match=r"PORT=\(hidden\) is not valid") as caught:
        Settings(port="http://me:geheim@host")
    assert "geheim" not in str(caught.value)


def test_settings_do_not_change_once_built() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
