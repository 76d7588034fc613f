"""Pictures become the pixels that a service would see, and one that cannot be used is refused by name."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from chapter2_training.cifar10.preprocess import LABELS, preprocess
from mlsys import picture
from mlsys.errors import StartupError

from . import conftest


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """One picture of each class in each part."""
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for index, label in enumerate(LABELS):
            folder = tmp_path / "few" / part / label
            folder.mkdir(parents=True)
            (folder / "0000.png").write_bytes(conftest.picture(index, random))
    return tmp_path / "few"


def arrays(source: Path, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder.mkdir(exist_ok=True)
    preprocess(source, folder, num_workers=1)
    found = {}
    for part in ("train", "test"):
        with np.load(folder / f"{part}.npz") as npz:
            found[part] = npz["pixels"], npz["classes"]
    return found


def test_pixels_and_classes_are_those_of_the_files(source: Path, tmp_path: Path) -> None:
    pixels, classes = arrays(source, tmp_path)["test"]
    assert (pixels.shape, pixels.dtype.name) == ((100, 32, 32, 3), "uint8")
    assert classes.tolist() == [label for label in range(10) for _ in range(10)]
    assert (pixels[35] == picture.to_pixels((source / "test" / "cat" / "0005.png").read_bytes())).all()


def test_a_tar_a_folder_and_more_workers_give_the_same_bytes(source: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pictures.tar.xz", "w:xz", preset=0) as tar:
        tar.add(source, "some-name", filter=lambda member: member)
    written = []
    for number, (origin, workers) in enumerate([(source, 1), (source, 3), (tmp_path / "pictures.tar.xz", 2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        preprocess(origin, folder, num_workers=workers)
        written.append([(folder / name).read_bytes() for name in ("train.npz", "test.npz")])
    assert written[0] == written[1] == written[2]


def test_a_larger_picture_is_made_small_as_a_service_makes_it(few: Path, tmp_path: Path) -> None:
    large = conftest.picture(0, np.random.default_rng(0), side=100)
    (few / "train" / "airplane" / "0000.png").write_bytes(large)
    pixels, _ = arrays(few, tmp_path / "arrays")["train"]
    assert (pixels[0] == picture.to_pixels(large)).all()


def test_a_damaged_picture_is_refused_by_name(few: Path, tmp_path: Path) -> None:
    path = few / "train" / "dog" / "0000.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StartupError, match=r"Picture few/train/dog/0000\.png cannot be used: The picture is damaged"):
        arrays(few, tmp_path)


def test_a_class_without_pictures_is_refused_by_name(few: Path, tmp_path: Path) -> None:
    shutil.rmtree(few / "test" / "ship")
    with pytest.raises(StartupError, match="few has no pictures in test/ship: each class needs some"):
        arrays(few, tmp_path)


def test_a_folder_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StartupError, match="empty has no pictures in train/airplane"):
        arrays(tmp_path / "empty", tmp_path)


def test_a_truncated_tar_is_refused_by_name(few: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as tar:
        tar.add(few, "few")
    content = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(StartupError, match=r"cut\.tar\.gz is no tar archive, or a damaged one"):
        arrays(tmp_path / "cut.tar.gz", tmp_path)
