"""The contract of the image models: what fits it, and what is said of a model that does not."""

import pytest

from mlsys.cifar10 import INPUT, LABEL, LABELS, PROBABILITIES, require
from mlsys.errors import ModelError
from mlsys.metadata import Tensor
from mlsys.remote import Declared

ROWS = Tensor(name="input", datatype="FP32", shape=[-1, 4])
FITS = Declared("pictures", "0123456789ab", [INPUT], [LABEL, PROBABILITIES], list(LABELS))


def test_a_model_of_the_contract_is_accepted() -> None:
    require(FITS)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            FITS._replace(inputs=[ROWS]),
            r"takes input FP32\[-1, 4\], and this .* UINT8",
        ),
        (FITS._replace(outputs=[PROBABILITIES]), r"answers probabilities FP32\[-1, 10\], and this .* label INT64"),
        (FITS._replace(labels=list(reversed(LABELS))), r"has the labels \['truck', .*, and this .* \['airplane'"),
    ],
)
def test_another_model_is_named_with_what_it_has_and_what_is_needed(other: Declared, sentence: str) -> None:
    with pytest.raises(ModelError, match=rf"^Model pictures \(version 0123456789ab\) {sentence}.*or name one by"):
        require(other)
