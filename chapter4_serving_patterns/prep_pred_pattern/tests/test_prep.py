"""The lesson, with a model that is a few lines."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlsys.cifar10 import LABELS
from mlsys.errors import BadGateway, InvalidInput, ModelError, NotReady
from mlsys.metadata import Tensor
from mlsys.remote import Declared, NoSuchModel

from ..prep import INPUT, OUTPUTS, Prep

CONTRACT = Declared("pictures", "1", [INPUT], OUTPUTS, list(LABELS))
CAT = {"label": np.array([3]), "probabilities": np.eye(10, dtype=np.float32)[3:4]}


class FewLines:
    """A model. `declares` is what it says from now on, and the version that it has."""

    def __init__(self) -> None:
        self.declares = CONTRACT
        self.answer: dict[str, NDArray[Any]] = CAT
        self.received: list[tuple[NDArray[Any], float]] = []
        self.asked = 0

    async def declared(self, *, timeout_s: float) -> Declared:
        assert timeout_s > 0
        self.asked += 1
        return self.declares

    async def infer(self, batch: NDArray[Any], declared: Declared, *, timeout_s: float) -> dict[str, NDArray[Any]]:
        if declared.version != self.declares.version:
            raise NoSuchModel(f"There is no version {declared.version}.")
        self.received.append((batch, timeout_s))
        return self.answer


async def decode(colour: int) -> NDArray[np.uint8]:
    if colour > 255:
        raise InvalidInput("Too bright.")
    return np.full((32, 32, 3), colour, np.uint8)


@pytest.fixture
def model() -> FewLines:
    return FewLines()


@pytest.fixture
def prep(model: FewLines) -> Prep[int]:
    return Prep(model, decode)


def predict(prep: Prep[int], colour: int = 7) -> Any:  # noqa: ANN401  # a prediction
    return asyncio.run(prep.predict(colour, lambda: 1.5))


def test_a_picture_becomes_a_batch_of_one_and_the_answer_a_label(prep: Prep[int], model: FewLines) -> None:
    assert predict(prep) == ([0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "cat")
    ((batch, _),) = model.received
    assert (batch.shape, str(batch.dtype), batch.min(), batch.max()) == ((1, 32, 32, 3), "uint8", 7, 7)


def test_the_model_is_given_the_time_that_the_caller_still_waits(prep: Prep[int], model: FewLines) -> None:
    left = iter([3.0, 2.0])
    asyncio.run(prep.predict(7, lambda: next(left)))
    assert model.received[0][1] == 2.0  # 3 when it was asked what it declares


def test_the_contract_is_compared_once_and_not_for_every_picture(prep: Prep[int], model: FewLines) -> None:
    for _ in range(5):
        predict(prep)
    assert model.asked == 1


def test_a_picture_that_is_none_never_reaches_the_model(prep: Prep[int], model: FewLines) -> None:
    with pytest.raises(InvalidInput):
        predict(prep, 300)
    assert (model.asked, model.received) == (0, [])


DISAGREEMENTS = {
    "another name": CONTRACT._replace(inputs=[Tensor(name="image", datatype="UINT8", shape=INPUT.shape)]),
    "another datatype": CONTRACT._replace(inputs=[Tensor(name="input", datatype="FP32", shape=INPUT.shape)]),
    "channels first": CONTRACT._replace(inputs=[Tensor(name="input", datatype="UINT8", shape=[-1, 3, 32, 32])]),
    "another size": CONTRACT._replace(inputs=[Tensor(name="input", datatype="UINT8", shape=[-1, 64, 64, 3])]),
    "no free batch": CONTRACT._replace(inputs=[Tensor(name="input", datatype="UINT8", shape=[1, 32, 32, 3])]),
    "two inputs": CONTRACT._replace(inputs=[INPUT, INPUT]),
    "other outputs": CONTRACT._replace(outputs=OUTPUTS[1:]),
    "other labels": CONTRACT._replace(labels=["cat", "dog"]),
    "labels in another order": CONTRACT._replace(labels=sorted(LABELS, reverse=True)),
    "no labels": CONTRACT._replace(labels=[]),
}


@pytest.mark.parametrize("what", DISAGREEMENTS)
def test_a_model_that_differs_is_refused_in_one_sentence_that_shows_both_sides(
    prep: Prep[int], model: FewLines, what: str
) -> None:
    model.declares = DISAGREEMENTS[what]
    with pytest.raises(ModelError, match=r"Model pictures \(version 1\) .*, and this service is made for .*"):
        asyncio.run(prep.agree(1.0))
    with pytest.raises(NotReady):
        predict(prep)
    assert model.received == []


def test_a_new_version_with_the_same_contract_is_used_without_a_word(prep: Prep[int], model: FewLines) -> None:
    predict(prep)
    model.declares = CONTRACT._replace(version="2")
    assert predict(prep).label == "cat"
    assert (model.asked, len(model.received)) == (2, 2)


def test_a_new_version_with_another_contract_gets_no_tensor_until_one_comes_that_fits(
    prep: Prep[int], model: FewLines
) -> None:
    predict(prep)
    model.declares = DISAGREEMENTS["channels first"]._replace(version="2")
    for _ in range(3):
        with pytest.raises(NotReady, match="takes input UINT8"):
            predict(prep)
    assert len(model.received) == 1
    model.declares = CONTRACT._replace(version="3")
    assert predict(prep).label == "cat"


def test_what_readiness_finds_holds_for_predictions_too(prep: Prep[int], model: FewLines) -> None:
    predict(prep)
    model.declares = DISAGREEMENTS["other labels"]  # of the same version: a server that does not name versions
    with pytest.raises(ModelError):
        asyncio.run(prep.agree(1.0))
    with pytest.raises(NotReady):
        predict(prep)
    assert len(model.received) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"probabilities": np.full((1, 10), np.nan, np.float32)},
        {"probabilities": np.full((1, 10), np.inf, np.float32)},
        {"probabilities": np.full((1, 10), 0.2, np.float32)},
        {"probabilities": np.array([[1.5, -0.5, *[0] * 8]], np.float32)},
        {"probabilities": np.full((1, 9), 1 / 9, np.float32)},
        {"probabilities": np.full((2, 10), 0.1, np.float32)},
        {"probabilities": np.full((10,), 0.1, np.float32)},
        {"label": np.array([10])},
        {"label": np.array([-1])},
        {"label": np.array([3, 3])},
        {"label": np.array(3)},
    ],
    ids=["NaN", "infinity", "sum of 2", "negative", "nine", "two rows", "flat", "10", "-1", "two labels", "no batch"],
)
def test_an_answer_that_cannot_be_one_is_not_passed_on(
    prep: Prep[int], model: FewLines, answer: dict[str, NDArray[Any]]
) -> None:
    model.answer = CAT | answer
    with pytest.raises(BadGateway, match="The model answered"):
        predict(prep)


def test_the_two_halves_are_timed(model: FewLines) -> None:
    entered: list[str] = []

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        entered.append(step)
        yield

    predict(Prep(model, decode, timed))
    assert entered == ["decode", "predict"]
