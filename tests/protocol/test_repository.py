"""tritonclient on the model repository: what is there, what is loaded; the same for our server and for MLServer."""

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mlsys.testing import eventually

from .fronts import Front, floats
from .servers import Running, version

ROW = floats([1, 2, 3])


@pytest.fixture
def tidy(front: Front) -> Iterator[Front]:
    """The front; afterwards `adder` is loaded again."""
    yield front
    front.client.load_model("adder")
    eventually(lambda: front.client.is_model_ready("adder"), deadline_s=10)


def test_the_index_names_every_model_with_its_version_and_state(front: Front, server: Running) -> None:
    index = front.index()
    assert set(index) == {path.name for path in server.models.iterdir()}
    assert {entry["state"] for entry in index.values()} == {"READY"}
    assert index["adder"]["version"] == version(server.models, "adder")


def test_an_unloaded_model_is_not_answered_for_and_the_others_are(tidy: Front) -> None:
    tidy.client.unload_model("adder")
    with pytest.raises(InferenceServerException, match="adder"):
        tidy.infer("adder", {"a": ROW, "b": ROW}, ["sum"])
    assert tidy.client.is_server_live()
    assert tidy.client.is_model_ready("fixed")


def test_an_unloaded_model_says_that_it_is_not_ready(tidy: Front) -> None:
    tidy.client.unload_model("adder")
    assert not tidy.client.is_model_ready("adder")


def test_the_index_keeps_an_unloaded_model(tidy: Front, server: Running) -> None:
    tidy.client.unload_model("adder")
    index = tidy.index()
    assert set(index) == {path.name for path in server.models.iterdir()}
    assert {name for name, entry in index.items() if entry["state"] != "READY"} == {"adder"}
    assert index["adder"]["state"] == "UNAVAILABLE"
    assert index["adder"]["reason"]


def test_a_model_that_is_loaded_again_answers(tidy: Front) -> None:
    tidy.client.unload_model("adder")
    tidy.client.load_model("adder")
    outputs = tidy.metadata("adder")["outputs"]
    assert {output["name"] for output in outputs} == {"sum", "difference"}
    np.testing.assert_array_equal(tidy.infer("adder", {"a": ROW, "b": ROW}, ["sum"]).arrays["sum"], ROW + ROW)


def test_loading_a_loaded_model_changes_nothing_for_callers(tidy: Front, server: Running) -> None:
    tidy.client.load_model("adder")
    assert tidy.client.is_model_ready("adder")
    answered = tidy.infer("adder", {"a": ROW, "b": ROW}, ["sum"])
    assert answered.version == version(server.models, "adder")


def test_loading_a_model_that_is_not_there_is_an_error_that_names_it(front: Front) -> None:
    with pytest.raises(InferenceServerException, match="nobody") as raised:
        front.client.load_model("nobody")
    assert raised.value.status() in {"404", "StatusCode.NOT_FOUND"}


def test_unloading_a_model_that_is_not_there_is_an_error_that_names_it(front: Front) -> None:
    with pytest.raises(InferenceServerException, match="nobody") as raised:
        front.client.unload_model("nobody")
    assert raised.value.status() in {"404", "StatusCode.NOT_FOUND"}
