import pytest

from mlsys import address


@pytest.mark.parametrize("given", ["http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://[::1]:80", "http://host"])
def test_an_address_is_taken_without_a_slash_at_its_end(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("URL", given)
    assert address.url() == given.rstrip("/")
    assert address.netloc() == given.rstrip("/").removeprefix("http://")


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", "https://a", "http://", "http://a:0", "http://a:x", "http://[::1", "http://a/b", "http://a?b"],
)
def test_an_address_of_another_form_is_one_sentence(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("URL", given)
    with pytest.raises(SystemExit) as ended:
        address.netloc()
    assert ended.value.code == f"URL={given} is not of the form http://host:port."
