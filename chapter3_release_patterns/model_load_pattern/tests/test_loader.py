"""The loader: what it resumes, repeats and refuses, from every kind of source."""

import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from mlsys.catalogue import ROOT
from mlsys.errors import MlsysError, ModelError, SettingsError
from mlsys.ports import free_port
from mlsys.testing import eventually

from .. import loader
from ..fetch import Fetcher
from ..settings import Settings
from ..source import SourceDown, show
from ..store import DirectoryFailed, Store
from .conftest import sha256
from .origin import Origin

MODULE = "chapter3_release_patterns.model_load_pattern.loader"
SettingsOf = Callable[..., Settings]


def fetch(settings: Settings) -> str:
    """One attempt, without the patience of the program."""
    store = Store(settings.model_directory)
    fetcher = Fetcher(loader.source(settings), store, settings)
    with store.locked(1):
        return fetcher.fetch(fetcher.source.release())


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {".lock"}


def partial_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.part"))


def command(source: str, directory: Path, *more: str, seconds: float = 10) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, "--source", source, "--directory", str(directory), *more],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOAD_TIMEOUT_S": str(seconds), "LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def beside(tmp_path: Path, svc: bytes) -> Path:
    """A model file with its digest beside it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(svc)
    (tmp_path / "model.onnx.sha256").write_text(f"{sha256(svc)}  model.onnx\n")
    return path


def test_a_path_is_loaded_and_becomes_the_current_model(beside: Path, settings_of: SettingsOf, svc: bytes) -> None:
    settings = settings_of(str(beside))
    assert loader.run(settings).read_bytes() == svc
    pointer = json.loads((settings.model_directory / "current.json").read_text())
    assert pointer == {"release": str(beside), "sha256": sha256(svc), "previous": None}
    assert files(settings.model_directory) == {"current.json", f"{sha256(svc)}.onnx"}


def test_any_file_system_of_fsspec_is_a_source(settings_of: SettingsOf, svc: bytes) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/model.onnx", svc)
    memory.pipe_file("/bucket/model.onnx.sha256", sha256(svc).encode())
    assert loader.run(settings_of("memory://bucket/model.onnx")).read_bytes() == svc


def test_a_url_is_a_source(origin: Origin, settings_of: SettingsOf, svc: bytes) -> None:
    origin.files = {"/model.onnx": svc, "/model.onnx.sha256": sha256(svc).encode()}
    assert loader.run(settings_of(f"{origin.url}/model.onnx")).read_bytes() == svc


def test_the_registrys_alias_is_a_source(origin: Origin, settings_of: SettingsOf, svc: bytes) -> None:
    origin.promote("1.0.0-iris.0", svc)
    settings = settings_of(origin.alias)
    assert loader.run(settings).read_bytes() == svc
    assert json.loads((settings.model_directory / "current.json").read_text())["release"] == "1.0.0-iris.0"


@pytest.mark.parametrize(
    "source",
    [
        "registry+http://nowhere",
        "registry+http://h/m",
        "registry+ftp://h/m@a",
        "nothing://knows/this",
        "::",
        "http://[",
    ],
)
def test_a_source_of_no_known_form_is_refused(source: str, settings_of: SettingsOf) -> None:
    with pytest.raises((SettingsError, SourceDown), match=r"MODEL_SOURCE|cannot be read"):
        loader.source(settings_of(source)).release()


def test_secrets_in_a_url_are_not_shown(settings_of: SettingsOf) -> None:
    url = f"http://me:secret@127.0.0.1:{free_port()}/model.onnx?signature=secret"
    source = loader.source(settings_of(url))
    assert "secret" not in source.shown
    with pytest.raises(SourceDown) as error:
        source.release()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("simplecache::s3://me:secret@bucket/m.onnx", "simplecache::s3://bucket/m.onnx"),
        ("zip://m.onnx::https://me:secret@h/a.zip?key=secret", "zip://m.onnx::https://h/a.zip"),
        ("https://h/m@2.onnx#secret", "https://h/m@2.onnx"),
        ("models/what?.onnx", "models/what?.onnx"),
    ],
)
def test_what_is_shown_of_a_source_is_its_place(url: str, shown: str) -> None:
    assert show(url) == shown


def test_a_download_that_broke_off_is_resumed_where_it_ended(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    origin.cut = 1000
    settings = settings_of(origin.alias)
    with pytest.raises(SourceDown, match="broke off"):
        fetch(settings)
    origin.cut = None
    assert fetch(settings) == sha256(svc)
    assert origin.ranges == ["bytes=1000-"]


def test_a_source_that_breaks_off_again_and_again_is_read_to_its_end(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    origin.cut = len(svc) // 5 + 1
    settings = settings_of(origin.alias)
    for _ in range(4):
        with pytest.raises(SourceDown):
            fetch(settings)
    assert fetch(settings) == sha256(svc)


def test_what_is_there_of_another_file_is_not_mixed_with_this_one(
    origin: Origin, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    settings = settings_of(f"{origin.url}/model.onnx", model_sha256=sha256(svc))
    origin.files["/model.onnx"] = forest  # not yet what was promised
    origin.cut = 1000
    with pytest.raises(SourceDown):
        fetch(settings)
    origin.files["/model.onnx"], origin.cut = svc, None
    with pytest.raises(SourceDown, match="after a resumed download"):
        fetch(settings)
    assert fetch(settings) == sha256(svc)


def test_a_source_that_is_busy_is_asked_again_with_longer_and_longer_pauses(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    origin.failures = 6
    pauses: list[float] = []
    source = loader.source(settings_of(origin.alias))
    assert loader.patiently(source.release, 60, pauses.append).name == "1.0.0"
    assert len(pauses) == 6
    for number, pause in enumerate(pauses):
        assert 0.1 * 2**number <= pause <= min(0.2 * 2**number, 10)


def test_a_source_that_stays_down_is_given_up_when_the_time_is_over(settings_of: SettingsOf) -> None:
    settings = settings_of(f"registry+http://127.0.0.1:{free_port()}/iris_svc@champion", load_timeout_s=0.3)
    with pytest.raises(SourceDown, match="cannot be read"):
        loader.run(settings)


def test_an_alias_that_names_nothing_is_a_source_that_is_down(origin: Origin, settings_of: SettingsOf) -> None:
    with pytest.raises(SourceDown, match="answered 404"):
        loader.source(settings_of(origin.alias)).release()


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"null", b"{}", b'{"name": 1, "sha256": "../../x"}', b'{"name":"1","sha256":""}', b"\xff"]
)
def test_a_registry_that_answers_nonsense_is_down(origin: Origin, settings_of: SettingsOf, answer: bytes) -> None:
    origin.promote("1.0.0", b"")
    origin.files["/v1/api/models/name/iris_svc/aliases/champion"] = answer
    with pytest.raises(SourceDown):
        loader.source(settings_of(origin.alias)).release()


def test_a_wrong_sha256_is_refused_and_leaves_nothing(
    origin: Origin, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    origin.promote("1.0.0", forest, sha256=sha256(svc))
    settings = settings_of(origin.alias)
    with pytest.raises(ModelError, match=r"bytes have the sha256 .*… was promised"):
        fetch(settings)
    assert files(settings.model_directory) == set()


def test_a_sha256_that_nobody_says_is_refused_with_what_to_do(
    tmp_path: Path, settings_of: SettingsOf, svc: bytes
) -> None:
    (tmp_path / "model.onnx").write_bytes(svc)
    with pytest.raises(ModelError, match=r"put .*model\.onnx\.sha256 beside it, set MODEL_SHA256, or set MODEL_VERIFY"):
        loader.run(settings_of(str(tmp_path / "model.onnx")))


def test_warn_lets_an_unknown_and_a_wrong_sha256_pass(tmp_path: Path, settings_of: SettingsOf, svc: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(svc)
    for given in (None, "0" * 64):
        settings = settings_of(str(tmp_path / "model.onnx"), model_verify="warn", model_sha256=given)
        assert loader.run(settings).name == f"{sha256(svc)}.onnx"


def test_a_file_without_a_digest_is_a_new_release_when_it_was_written_again(
    tmp_path: Path, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(svc)
    source = loader.source(settings_of(str(path), model_verify="warn"))
    before = source.release()
    path.write_bytes(forest)
    assert before.tag != source.release().tag


def test_a_url_without_a_digest_is_known_by_its_etag(origin: Origin, settings_of: SettingsOf, svc: bytes) -> None:
    origin.files["/model.onnx"] = svc
    settings = settings_of(f"{origin.url}/model.onnx", model_verify="warn")
    source = loader.source(settings)
    before = source.release()
    assert loader.run(settings).read_bytes() == svc
    assert source.release() == before
    origin.files["/model.onnx"] = svc + b"x"
    assert source.release().tag != before.tag


@pytest.mark.parametrize("beside", [b"", b"not a digest", b"abc123", b"\xff\xfe"])
def test_a_file_beside_that_holds_no_digest_is_said(origin: Origin, settings_of: SettingsOf, beside: bytes) -> None:
    origin.files = {"/model.onnx": b"x", "/model.onnx.sha256": beside}
    with pytest.raises(SourceDown, match="a sha256 of 64 hexadecimal digits was expected"):
        loader.source(settings_of(f"{origin.url}/model.onnx")).release()


def test_more_than_the_cap_is_refused_while_it_comes(origin: Origin, settings_of: SettingsOf, forest: bytes) -> None:
    origin.promote("1.0.0", forest)
    settings = settings_of(origin.alias, max_model_bytes=1000)
    with pytest.raises(ModelError, match="more than MAX_MODEL_BYTES=1000"):
        fetch(settings)
    assert files(settings.model_directory) == set()


def test_a_model_that_is_there_is_not_fetched_again(origin: Origin, settings_of: SettingsOf, svc: bytes) -> None:
    origin.promote("1.0.0", svc)
    settings = settings_of(origin.alias)
    fetch(settings)
    sent = origin.sent
    fetch(settings)
    assert origin.sent == sent


def test_a_model_that_was_damaged_on_the_disk_is_fetched_again(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    settings = settings_of(origin.alias)
    path = loader.run(settings)
    path.write_bytes(svc[:-1] + b"\x00")
    assert loader.run(settings).read_bytes() == svc


def test_the_directory_keeps_the_current_and_the_previous_model_and_no_other(
    origin: Origin, settings_of: SettingsOf, svc: bytes, forest: bytes, perceptron: bytes
) -> None:
    settings = settings_of(origin.alias)
    for content in (svc, forest, perceptron):
        origin.promote("1.0.0", content)
        loader.run(settings)
        (settings.model_directory / f"{'0' * 16}.part").write_bytes(b"left by a crash")
    loader.run(settings)
    assert files(settings.model_directory) == {
        "current.json",
        f"{sha256(forest)}.onnx",
        f"{sha256(perceptron)}.onnx",
    }


def test_what_others_keep_in_the_directory_stays(beside: Path, settings_of: SettingsOf) -> None:
    settings = settings_of(str(beside), model_directory=beside.parent)
    (beside.parent / "lost+found").mkdir()
    (beside.parent / "notes.txt").write_text("mine")
    before = files(beside.parent)
    written = loader.run(settings)
    loader.run(settings)
    assert files(beside.parent) == before | {written.name, "current.json"}


def test_a_model_that_nothing_points_at_makes_room_for_the_next_one(
    origin: Origin, settings_of: SettingsOf, svc: bytes, forest: bytes, perceptron: bytes
) -> None:
    settings = settings_of(origin.alias)
    origin.promote("1.0.0", svc)
    loader.run(settings)
    for refused in (forest, perceptron):
        origin.promote("1.1.0", refused)
        fetch(settings)
    assert files(settings.model_directory) == {"current.json", f"{sha256(svc)}.onnx", f"{sha256(perceptron)}.onnx"}


def test_a_digest_that_is_pinned_is_not_ignored_for_an_alias(origin: Origin, settings_of: SettingsOf) -> None:
    with pytest.raises(SettingsError, match="MODEL_SHA256 pins a file"):
        loader.source(settings_of(origin.alias, model_sha256="0" * 64))


def test_a_directory_that_cannot_be_used_is_named(beside: Path, settings_of: SettingsOf) -> None:
    for place in (beside, beside / "below_a_file"):
        with pytest.raises(DirectoryFailed, match=r"model\.onnx"):
            loader.run(settings_of(str(beside), model_directory=place))


def test_a_pointer_that_is_damaged_is_named(beside: Path, settings_of: SettingsOf) -> None:
    settings = settings_of(str(beside))
    loader.run(settings)
    (settings.model_directory / "current.json").write_text("{")
    with pytest.raises(MlsysError, match=r"current\.json cannot be used"):
        loader.run(settings)


@pytest.mark.e2e
def test_the_program_says_what_is_wrong_in_one_sentence_and_fails(tmp_path: Path, svc: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(svc)
    for more, said in (
        (("--sha256", "0" * 64), "was promised"),
        (("--sha256", "xyz"), "MODEL_SHA256='xyz' is not valid"),
        (("--verify", "maybe"), "MODEL_VERIFY='maybe' is not valid"),
        ((), "nobody says which sha256"),
    ):
        done = command(str(tmp_path / "model.onnx"), tmp_path / "models", *more)
        _, errors = done.communicate(timeout=30)
        assert done.returncode == 1
        assert said in errors
        assert errors.startswith("Cannot load the model: ")
        assert errors.count("\n") == 1


@pytest.mark.e2e
def test_loaders_at_the_same_time_fetch_once_and_all_succeed(origin: Origin, tmp_path: Path, forest: bytes) -> None:
    origin.promote("1.0.0", forest)
    running = [command(origin.alias, tmp_path / "models") for _ in range(4)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert origin.sent == -(-len(forest) // 2**14)
    assert files(tmp_path / "models") == {"current.json", f"{sha256(forest)}.onnx"}


@pytest.mark.e2e
def test_a_loader_that_is_killed_leaves_no_half_model_and_the_next_one_resumes(origin: Origin, tmp_path: Path) -> None:
    content = os.urandom(2**22)
    digest, directory = origin.promote("1.0.0", content), tmp_path / "models"
    sizes = [0]
    for pieces in (20, 60, 100):
        origin.hold_after = origin.sent + pieces
        process = command(origin.alias, directory)
        eventually(lambda: partial_size(directory) > sizes[-1], deadline_s=20)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        origin.released.set()  # the piece that nobody takes any more
        sizes.append(partial_size(directory))
        assert not [name for name in files(directory) if not name.endswith(".part")]
        origin.released.clear()
    origin.hold_after = None
    process = command(origin.alias, directory)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert (directory / f"{digest}.onnx").read_bytes() == content
    assert files(directory) == {"current.json", f"{digest}.onnx"}
    assert [int(re.sub(r"\D", "", begins)) for begins in origin.ranges] == sizes[1:]


@pytest.mark.e2e
@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_a_loader_killed_at_any_moment_leaves_a_pointer_to_a_whole_model_or_none(
    origin: Origin, tmp_path: Path, kills: int
) -> None:
    chance, directory = random.Random(kills), tmp_path / "models"  # noqa: S311  # when to kill, no secret
    contents = [os.urandom(2**21) for _ in range(3)]
    for number in range(kills):
        origin.promote(f"1.0.{number}", contents[number % 3])
        begun = origin.sent
        process = command(origin.alias, directory)
        eventually(lambda: origin.sent > begun or process.poll() is not None, deadline_s=20)  # noqa: B023
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.1))
        process.kill()
        process.communicate(timeout=10)
        for path in directory.glob("*.onnx"):
            assert sha256(path.read_bytes()) == path.stem, number
        if pointer := Store(directory).pointer():
            assert (directory / f"{pointer.sha256}.onnx").exists(), number
    process = command(origin.alias, directory)
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.e2e
def test_a_disk_that_gets_full_is_one_sentence_and_is_given_back(tmp_path: Path, forest: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(forest)
    full = subprocess.run(
        [sys.executable, "-m", MODULE, "--source", str(path), "--directory", str(tmp_path / "models")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MODEL_SHA256": sha256(forest)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert full.returncode == 1
    assert "models is full" in full.stderr
    assert files(tmp_path / "models") == set()
