"""Models that come, go and are replaced, while requests are answered."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from mlsys.errors import InvalidRequest, ModelError, NotFound, NotReady, SettingsError, StartupError
from mlsys.server.batcher import Engine
from mlsys.server.repository import Entry, Repository
from mlsys.server.settings import Settings
from mlsys.server.statistics import Statistics
from mlsys.testing import eventually
from tests.protocol import networks

ONE = {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[1, 1, 1]], np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the one model `adder`, which a test may change."""
    networks.write(tmp_path / "models" / "adder", networks.adder())
    return tmp_path / "models"


def opened(*folders: Path, **settings: Any) -> Repository:  # noqa: ANN401
    return Repository(Settings(models=folders, **settings), Statistics(CollectorRegistry()), Engine(2))


def run(test: Callable[[Repository], Coroutine[Any, Any, None]], *folders: Path, **settings: Any) -> None:  # noqa: ANN401
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test(opened(*folders, **settings))

    asyncio.run(bounded())


async def total(repository: Repository, version: str = "") -> Any:  # noqa: ANN401
    (found,) = await repository.get("adder", version).infer(ONE, ["sum"], None)
    return found.tolist()


def test_a_folder_of_models_and_a_models_own_folder_are_both_found(small: Path, folder: Path) -> None:
    repository = opened(small / "fixed", folder)
    assert [entry.name for entry in repository.index()] == ["adder", "fixed"]


@pytest.mark.parametrize("name", ["", ".", "..", "../adder", "adder/", "no", "ADDER", "models/adder"])
def test_a_name_that_is_not_a_folders_is_not_found_and_becomes_no_path(folder: Path, name: str) -> None:
    async def test(repository: Repository) -> None:
        with pytest.raises(NotFound):
            repository.get(name)
        with pytest.raises(NotFound):
            await repository.load(name)
        with pytest.raises(NotFound):
            await repository.unload(name)

    run(test, folder)


def test_a_version_that_is_not_loaded_is_not_found_and_the_one_that_is_is_named(folder: Path) -> None:
    repository = opened(folder)
    version = repository.get("adder").network.version
    assert repository.get("adder", version).name == "adder"
    with pytest.raises(NotFound, match=rf"no version '1'; it has {version}"):
        repository.get("adder", "1")


def test_a_model_that_is_unloaded_is_not_found_with_the_reason_until_it_is_loaded_again(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        version = repository.get("adder").network.version
        await repository.unload("adder")
        with pytest.raises(NotFound, match="It has been unloaded"):
            repository.get("adder")
        assert repository.index() == [Entry("adder", "", "UNAVAILABLE", "It has been unloaded.")]
        assert repository.index(ready=True) == []
        await repository.load("adder")
        assert repository.index() == [Entry("adder", version, "READY", "")]

    run(test, folder)


def test_a_new_file_is_served_after_a_load_and_not_before(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        old = repository.get("adder").network.version
        networks.write(folder / "adder", networks.adder(scale=10))
        assert await total(repository) == [[2, 3, 4]]
        await repository.load("adder")
        assert await total(repository) == [[20, 30, 40]]
        with pytest.raises(NotFound):
            repository.get("adder", old)

    run(test, folder)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_bad_new_file_leaves_the_old_one_serving_and_the_index_says_why(folder: Path, content: bytes | None) -> None:
    async def test(repository: Repository) -> None:
        version = repository.get("adder").network.version
        path = folder / "adder" / "model.onnx"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)
        with pytest.raises(InvalidRequest, match="cannot be used"):
            await repository.load("adder")
        assert await total(repository, version) == [[2, 3, 4]]
        (entry,) = repository.index()
        assert (entry.state, entry.version) == ("READY", version)
        assert "cannot be used" in entry.reason
        path.write_bytes(whole)
        await repository.load("adder")
        assert repository.index() == [Entry("adder", version, "READY", "")]

    run(test, folder)


def test_a_folder_that_comes_later_is_in_the_index_and_can_be_loaded(small: Path, folder: Path) -> None:
    async def test(repository: Repository) -> None:
        shutil.copytree(small / "fixed", folder / "fixed")
        assert [entry[::2] for entry in repository.index()] == [("adder", "READY"), ("fixed", "UNAVAILABLE")]
        await repository.load("fixed")
        assert repository.get("fixed").name == "fixed"

    run(test, folder)


def test_requests_that_have_begun_are_answered_before_an_unload_returns(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        asked = [asyncio.create_task(total(repository)) for _ in range(50)]
        await asyncio.sleep(0)
        await repository.unload("adder")
        assert [task.done() and task.result() for task in asked] == [[[2, 3, 4]]] * 50

    run(test, folder)


def test_loads_and_requests_at_the_same_time_give_only_right_answers(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        async def reload() -> None:
            for _ in range(5):
                await repository.load("adder")

        async def ask() -> None:
            for _ in range(50):
                assert await total(repository) == [[2, 3, 4]]

        await asyncio.gather(reload(), reload(), *(ask() for _ in range(8)))

    run(test, folder)


def test_a_load_goes_on_when_its_caller_does_not_wait(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        old = repository.get("adder").network.version
        networks.write(folder / "adder", networks.adder(scale=10))
        task = asyncio.create_task(repository.load("adder"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.to_thread(eventually, lambda: repository.get("adder").network.version != old, deadline_s=10)
        assert await total(repository) == [[20, 30, 40]]

    run(test, folder)


def test_a_load_takes_no_configuration_and_no_files(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        with pytest.raises(InvalidRequest, match="takes no parameters here, and not config"):
            await repository.load("adder", ["config"])

    run(test, folder)


def test_an_input_that_the_model_cannot_compute_is_refused_and_its_neighbours_answered(small: Path) -> None:
    async def test(repository: Repository) -> None:
        table = repository.get("table")
        asked = [table.infer({"index": np.array([index])}, ["output"], None) for index in (1, 100, 2)]
        one, bad, two = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(bad, InvalidRequest)
        assert "cannot compute this input: indices element out of data bounds" in str(bad)
        assert not isinstance(one, BaseException)
        assert not isinstance(two, BaseException)
        assert (one[0].tolist(), two[0].tolist()) == ([0.5], [1.0])

    run(test, small / "table", workers=1)


def test_inputs_of_different_row_counts_are_refused_where_requests_are_stacked(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        uneven = {"a": np.ones([2, 3], np.float32), "b": np.ones([1, 3], np.float32)}
        with pytest.raises(InvalidRequest, match=r"\[2, 1\] rows"):
            await repository.get("adder").infer(uneven, ["sum"], None)

    run(test, folder)


def test_a_start_without_models_or_with_two_of_one_name_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"MODELS=.*empty holds no model\.onnx"):
        opened(tmp_path / "empty")
    with pytest.raises(StartupError, match="Two models are called 'adder'"):
        opened(folder, folder / "adder")


def test_a_model_may_be_called_what_a_log_line_has_too(folder: Path) -> None:
    (folder / "adder").rename(folder / "event")
    assert opened(folder).get("event").name == "event"


def test_a_model_that_was_unloaded_while_a_request_for_it_was_read_is_said_to_be_gone(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        served = repository.get("adder")
        await repository.unload("adder")
        with pytest.raises(NotReady, match="unloaded"):
            await served.infer(ONE, ["sum"], 5.0)

    run(test, folder)


def test_an_unloaded_model_is_let_go_by_the_threads_that_computed_it(folder: Path) -> None:
    async def test(repository: Repository) -> None:
        await total(repository)
        network = weakref.ref(repository.get("adder").network)
        await repository.unload("adder")
        await asyncio.to_thread(eventually, lambda: gc.collect() >= 0 and network() is None, deadline_s=5)

    run(test, folder)


def test_a_start_with_a_bad_model_is_refused_by_its_file(folder: Path) -> None:
    (folder / "adder" / "model.onnx").write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"adder/model\.onnx cannot be used: "):
        opened(folder)


def test_options_of_one_model_are_read_from_words_and_checked(folder: Path) -> None:
    words = "adder.max_batch=2 adder.max_delay_ms=5"
    settings = Settings(models=str(folder), model_options=words, max_queue=7)
    limits = settings.limits("adder")
    assert (limits.max_batch, limits.max_delay_s, limits.max_queue) == (2, 0.005, 7)
    assert settings.limits("another").max_batch == Settings(models=str(folder)).max_batch
    for wrong in ("adder", "adder.max_batch", "max_batch=2", "adder.size=2", "adder.max_batch=0", "adder.max_batch=x"):
        with pytest.raises(SettingsError, match="MODEL_OPTIONS"):
            Settings(model_options=wrong)
    with pytest.raises(StartupError, match="MODEL_OPTIONS names nobody; the models are adder"):
        opened(folder, model_options="nobody.max_batch=2")
