import hashlib
from pathlib import Path

import pytest

from mlsys.errors import ModelError

from .. import identity

OURS, ANOTHERS = "a" * 64, "b" * 64


def test_the_model_that_the_image_was_built_with_is_taken() -> None:
    identity.require_same(Path("model.onnx"), OURS, OURS)


@pytest.mark.parametrize("found", [ANOTHERS, OURS[:-1] + "b", "", OURS[:12], OURS.upper()])
def test_any_other_is_refused_in_a_sentence_that_names_file_and_both_digests(found: str) -> None:
    with pytest.raises(ModelError) as refused:
        identity.require_same(Path("elsewhere/model.onnx"), found, OURS)
    sentence = str(refused.value)
    assert sentence.startswith(f"Model elsewhere/model.onnx cannot be used: its sha256 is {found}, and ")
    assert OURS in sentence
    assert "build an image with this one" in sentence


def test_the_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "model.onnx").write_bytes(content)
    assert identity.digest(tmp_path / "model.onnx") == hashlib.sha256(content).hexdigest()
    (tmp_path / "model.onnx").write_bytes(content[:-1])
    assert identity.digest(tmp_path / "model.onnx") != hashlib.sha256(content).hexdigest()


def test_a_model_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx cannot be used: no such file or directory\. .*MODEL_PATH"):
        identity.digest(tmp_path / "nowhere.onnx")
    with pytest.raises(ModelError, match=r"cannot be used: is a directory"):
        identity.digest(tmp_path)
