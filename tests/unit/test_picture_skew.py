"""Training and serving make the same pixels of the same file: of each, its own code is run."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from chapter2_training.cifar10.preprocess import LABELS, preprocess
from chapter4_serving_patterns.prep_pred_pattern.app import create_app
from chapter4_serving_patterns.prep_pred_pattern.settings import Settings
from chapter4_serving_patterns.prep_pred_pattern.tests.forms import WAYS
from chapter4_serving_patterns.prep_pred_pattern.tests.standin import StandIn
from mlsys import cifar10, pictures
from mlsys.testing import call


def files() -> Iterator[tuple[str, bytes]]:
    """Pictures as a training set and a caller may have them: of the models' size, larger, turned, in other modes."""
    with Image.open(io.BytesIO(pictures.content("cat"))) as cat:
        cat.load()
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = cat.resize((900, 600))
    yield "small.png", saved(cat.resize((32, 32)), "PNG")
    yield "small.jpg", saved(cat.resize((32, 32)), "JPEG")
    yield "middle.png", saved(cat, "PNG")
    yield "wide.jpg", saved(wide, "JPEG")
    yield "turned.jpg", saved(wide, "JPEG", exif=exif)
    yield "grey.png", saved(cat.convert("L"), "PNG")
    yield "palette.png", saved(cat.quantize(16), "PNG")
    yield "tiny.png", saved(cat.resize((5, 9)), "PNG")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """What the training project's preprocessing makes of the files, in the order of their names."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("arrays")
    for part in ("train", "test"):
        for label in LABELS:
            place: Path = source / part / label
            place.mkdir(parents=True)
            for name, content in files() if (part, label) == ("train", LABELS[0]) else [next(files())]:
                (place / name).write_bytes(content)
    preprocess(source, folder, num_workers=1)
    with np.load(folder / "train.npz") as arrays:
        found: NDArray[np.uint8] = arrays["pixels"][arrays["classes"] == 0]
        return found


def test_the_tensor_that_reaches_the_model_is_the_one_that_it_was_trained_on(
    trained_on: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "cat.png").write_bytes(pictures.content("cat"))
    standin = StandIn()
    try:
        app = create_app(Settings(model_target=standin.target, sample_path=tmp_path / "cat.png", access_log=False))
        for expected, (name, content) in zip(trained_on, sorted(files()), strict=True):
            for way in WAYS:
                body, content_type = way(content)
                assert call(app, "POST", "/predict", body, {"content-type": content_type}).status == 200
                assert (standin.received[-1] == expected[np.newaxis]).all(), (name, way)
    finally:
        standin.stop()
    assert len(standin.received) == len(trained_on) * len(WAYS)


def test_training_and_serving_number_the_classes_alike() -> None:
    assert cifar10.LABELS == LABELS
