import msgspec
import numpy as np
import pytest

from mlsys import iris

DECODER = msgspec.json.Decoder(iris.Flower)


def flower_of(number: str) -> iris.Flower:
    return DECODER.decode(f'{{"data": [[{number}, 1, 1, 1]]}}')


@pytest.mark.parametrize("number", ["3.4028234663852886e38", "-3.4028234663852886e38", "0", "1e-400"])
def test_a_number_that_float32_can_hold_is_taken_and_stays_finite(number: str) -> None:
    assert np.isfinite(np.array(flower_of(number).data, dtype=np.float32)).all()


@pytest.mark.parametrize("number", ["3.4028235e38", "-3.4028235e38", "1e39", "1e400"])
def test_a_number_that_would_be_infinite_in_float32_is_refused(number: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        flower_of(number)


def test_the_sample_is_a_flower() -> None:
    assert DECODER.decode(msgspec.json.encode({"data": iris.SAMPLE})).data == iris.SAMPLE
    assert len(iris.SAMPLE[0]) == len(iris.FEATURES)
