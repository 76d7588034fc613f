"""Every pattern's demo refuses what it cannot be shown by, in one sentence."""

import pytest

from mlsys import catalogue
from mlsys.catalogue import Entry
from mlsys.ports import free_port
from mlsys.testing import run_demo

pytestmark = pytest.mark.e2e
each_pattern = pytest.mark.parametrize("pattern", catalogue.patterns(), ids=lambda entry: entry.name)


@each_pattern
@pytest.mark.parametrize("url", ["nonsense", "https://127.0.0.1:1", "http://127.0.0.1:8000/path", "http://[::1"])
def test_an_address_of_another_form_is_refused(pattern: Entry, url: str) -> None:
    refused = run_demo(pattern.module, url)
    assert (refused.returncode, refused.stderr) == (1, f"URL={url} is not of the form http://host:port.\n")


@each_pattern
def test_a_service_that_does_not_answer_is_named(pattern: Entry) -> None:
    port = free_port()
    refused = run_demo(pattern.module, f"http://127.0.0.1:{port}")
    assert refused.returncode == 1
    assert f"127.0.0.1:{port} " in refused.stderr.replace(f"{port}:", f"{port} ")
    assert refused.stderr.count("\n") == 1
