"""From JSON to predictions: the good rows together, each of the others with its reason."""

import numpy as np
import pytest

from mlsys import iris

from ..load import flowers
from ..prediction import Predictor, code, decode

GOOD = "[5.1, 3.5, 1.4, 0.2]"


def test_many_flowers_get_what_each_would_get_alone(predictor: Predictor) -> None:
    lines = [str(row) for row in flowers(500).tolist()]
    together = predictor.predict("\n".join(lines), len(lines))
    assert together.rows.tolist() == list(range(500))
    for place, line in enumerate(lines[:50]):
        alone = predictor.predict(line, 1)
        np.testing.assert_allclose(together.probabilities[place], alone.probabilities[0], atol=1e-6)
        assert together.labels[place] == alone.labels[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("null", "Expected `array`, got `null`"),
        ("[null, 3.5, 1.4, 0.2]", r"Expected `float`, got `null` - at `\$\[0\]`"),
        ('["5.1", "3.5", "1.4", "0.2"]', "Expected `float`, got `str`"),
        ("[5.1, 3.5, 1.4]", "length >= 4"),
        ("[5.1, 3.5, 1.4, 0.2, 0.2]", "length <= 4"),
        ('["Infinity", 3.5, 1.4, 0.2]', "Expected `float`, got `str`"),
        ("[5.1, 3.5, 1.4, 1e39]", "<= 3.4"),
        ("[5.1, 3.5, 1.4, 1" + "0" * 400 + "]", "It is no flower"),
        ('{"sepal_length": 5.1}', "Expected `array`, got `object`"),
        ("[[5.1, 3.5, 1.4, 0.2]]", "It is no flower"),
        ("[true, 3.5, 1.4, 0.2]", "got `bool`"),
        ("[" * 400 + "]" * 400, "It is no flower"),
        ("", "more than 1,000 bytes"),
    ],
    ids=lambda text: text[:30],
)
def test_a_bad_row_has_its_reason_and_spoils_no_other(predictor: Predictor, line: str, said: str) -> None:
    found = predictor.predict(f"{GOOD}\n{line}\n{GOOD}", 3)
    assert found.rows.tolist() == [0, 2]
    assert found.labels.tolist() == [0, 0]
    assert list(found.reasons) == [1]
    with pytest.raises(ValueError, match=said):
        raise ValueError(found.reasons[1])


def test_a_chunk_of_bad_rows_alone_and_one_of_none_do_not_reach_the_model(predictor: Predictor) -> None:
    assert len(predictor.predict("null\n[]", 2).reasons) == 2
    assert predictor.predict("", 0).reasons == {}
    assert predictor.predict("", 0).probabilities.shape == (0, len(iris.LABELS))


def test_integers_are_numbers(predictor: Predictor) -> None:
    assert decode("[5, 3, 1, 0]", 1)[0].tolist() == [[5, 3, 1, 0]]


def test_the_code_has_an_identity_of_its_own() -> None:
    assert code() == code()
    assert len(code()) == 64
