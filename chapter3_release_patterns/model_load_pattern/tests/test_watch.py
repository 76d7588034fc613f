"""The watch: what it does with what the source offers, one look after another, and what it says of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mlsys.errors import ModelError

from .. import loader
from ..fetch import Fetcher
from ..report import Report
from ..settings import Settings
from ..store import DirectoryFailed, Store
from ..swap import Bounds, Swap
from ..watch import Watch
from .conftest import sha256
from .origin import Origin

SettingsOf = Callable[..., Settings]


class Bench:
    """A watch whose looks are taken one by one, and its parts."""

    def __init__(self, settings: Settings) -> None:
        self.time = [1000.0]
        self.settings = settings
        self.registry = CollectorRegistry()
        self.report = Report(self.registry)
        self.store = Store(settings.model_directory)
        self.swap = Swap(Bounds(settings.smoke_latency_ms / 1000, 0.5), now=lambda: self.time[0])
        fetcher = Fetcher(loader.source(settings), self.store, settings)
        self.watch = Watch(self.swap, fetcher, self.report, settings)

    @property
    def served(self) -> str:
        assert self.swap.serving
        return self.swap.serving.release

    @property
    def refused(self) -> str | None:
        return self.swap.refusal.reason if self.swap.refusal else None

    def trouble(self) -> str | None:
        return self.report.trouble

    def metric(self, name: str) -> float:
        (line,) = [line for line in generate_latest(self.registry).decode().splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])


@pytest.fixture
def bench(origin: Origin, settings_of: SettingsOf, svc: bytes) -> Bench:
    origin.promote("1.0.0", svc)
    bench = Bench(settings_of(origin.alias, smoke_latency_ms=10))
    bench.watch.begin()
    return bench


def test_the_first_model_is_what_the_alias_names(bench: Bench, svc: bytes) -> None:
    assert bench.served == "1.0.0"
    pointer = bench.store.pointer()
    assert pointer
    assert pointer.sha256 == sha256(svc)


def test_nothing_is_done_while_the_alias_names_what_serves(bench: Bench, origin: Origin) -> None:
    serving, sent = bench.swap.serving, origin.sent
    bench.watch.look()
    assert bench.swap.serving is serving
    assert origin.sent == sent
    assert bench.metric("model_swaps_total") == 1


def test_the_model_follows_the_alias_there_and_back(bench: Bench, origin: Origin, svc: bytes, forest: bytes) -> None:
    origin.promote("1.1.0", forest)
    bench.watch.look()
    assert bench.served == "1.1.0"
    sent = origin.sent
    origin.promote("1.0.0", svc)
    bench.watch.look()
    assert bench.served == "1.0.0"
    assert origin.sent == sent  # a rollback moves no model
    pointer = bench.store.pointer()
    assert pointer
    assert (pointer.sha256, pointer.previous) == (sha256(svc), sha256(forest))


def test_a_version_of_the_same_file_takes_over_by_its_name(
    bench: Bench, origin: Origin, svc: bytes, forest: bytes
) -> None:
    origin.promote("1.1.0", forest)
    bench.watch.look()
    sent = origin.sent
    origin.promote("1.1.1", forest)
    bench.watch.look()
    assert bench.served == "1.1.1"
    assert origin.sent == sent
    assert bench.swap.previous
    assert bench.swap.previous.sha256 == sha256(svc)


@pytest.mark.parametrize("kind", ["corrupt", "perceptron", "slow", "contrary"])
def test_a_bad_model_is_refused_and_the_old_one_goes_on(
    request: pytest.FixtureRequest, bench: Bench, origin: Origin, svc: bytes, kind: str
) -> None:
    bad = svc[: len(svc) // 2] if kind == "corrupt" else request.getfixturevalue(kind)
    origin.promote("1.1.0", bad)
    bench.watch.look()
    assert bench.served == "1.0.0"
    assert bench.refused
    assert bench.metric("model_refusals_total") == 1
    assert bench.metric("model_refused") == 1
    pointer = bench.store.pointer()
    assert pointer
    assert pointer.sha256 == sha256(svc)  # a worker that starts now starts with the good one


def test_a_model_of_the_wrong_hash_is_refused_and_the_old_one_goes_on(
    bench: Bench, origin: Origin, forest: bytes
) -> None:
    origin.promote("1.1.0", forest, sha256="0" * 64)
    bench.watch.look()
    assert bench.served == "1.0.0"
    assert bench.refused
    assert "000000000000… was promised" in bench.refused


def test_a_refused_model_is_not_loaded_at_every_look_but_again_after_a_while(
    bench: Bench, origin: Origin, perceptron: bytes
) -> None:
    origin.promote("1.1.0", perceptron)
    for _ in range(3):
        bench.watch.look()
    assert bench.metric("model_refusals_total") == 1
    bench.time[0] += bench.settings.retry_refused_s
    bench.watch.look()
    assert bench.metric("model_refusals_total") == 2


def test_a_refusal_is_over_when_the_alias_moves_back_or_on(
    bench: Bench, origin: Origin, svc: bytes, forest: bytes, perceptron: bytes
) -> None:
    for good, name in ((svc, "1.0.0"), (forest, "1.2.0")):
        origin.promote("1.1.0", perceptron)
        bench.watch.look()
        assert bench.refused
        origin.promote(name, good)
        bench.watch.look()
        assert bench.refused is None
        assert bench.served == name
        assert bench.metric("model_refused") == 0


def test_a_source_that_is_down_changes_nothing_and_is_said_once(
    bench: Bench, origin: Origin, forest: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.down = True
    for _ in range(3):
        bench.watch.look()
    assert bench.served == "1.0.0"
    assert bench.report.trouble
    assert bench.metric("model_fetch_failures_total") == 3
    assert capsys.readouterr().out.count("no news of models") == 1
    origin.down = False
    origin.promote("1.1.0", forest)
    bench.watch.look()
    assert bench.served == "1.1.0"
    assert bench.trouble() is None


def test_a_download_that_breaks_off_is_finished_by_later_looks(bench: Bench, origin: Origin, forest: bytes) -> None:
    origin.promote("1.1.0", forest)
    origin.cut = len(forest) // 3 + 1
    for _ in range(2):
        bench.watch.look()
        assert bench.served == "1.0.0"
    bench.watch.look()
    assert bench.served == "1.1.0"
    assert len(origin.ranges) == 2


def test_a_service_begins_with_what_a_loader_left_also_while_the_source_is_down(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    settings = settings_of(origin.alias)
    loader.run(settings)
    origin.down = True
    bench = Bench(settings)
    bench.watch.begin()
    assert bench.served == "1.0.0"


def test_what_a_loader_left_is_fetched_again_if_it_is_damaged(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    settings = settings_of(origin.alias)
    loader.run(settings).write_bytes(b"damaged")
    bench = Bench(settings)
    bench.watch.begin()
    assert bench.served == "1.0.0"


def test_a_bad_model_that_a_loader_left_gives_way_to_the_one_that_is_offered(
    origin: Origin, settings_of: SettingsOf, svc: bytes, perceptron: bytes
) -> None:
    origin.promote("1.1.0", perceptron)
    settings = settings_of(origin.alias)
    loader.run(settings)  # it does not test, so this is what the directory calls current
    origin.promote("1.0.0", svc)
    bench = Bench(settings)
    bench.watch.begin()
    assert bench.served == "1.0.0"
    assert bench.refused is None
    pointer = bench.store.pointer()
    assert pointer
    assert pointer.sha256 == sha256(svc)


def test_a_bad_model_that_is_also_the_one_offered_ends_a_service_without_another(
    origin: Origin, settings_of: SettingsOf, perceptron: bytes
) -> None:
    origin.promote("1.1.0", perceptron)
    settings = settings_of(origin.alias)
    loader.run(settings)
    bench = Bench(settings)
    bench.watch.begin()
    assert bench.swap.serving is None
    with pytest.raises(ModelError, match=r"1\.1\.0 of registry.* is refused: its signature is"):
        asyncio.run(bench.watch.loaded())


class Full(Store):
    """A directory in which there is room for models and none for a pointer, until `full` is over."""

    full = True

    def point_at(self, release: str, sha256: str) -> None:
        if self.full:
            raise DirectoryFailed("the disk is full")
        super().point_at(release, sha256)


def test_a_rollback_needs_no_disk_and_the_pointer_follows_when_there_is_room(
    bench: Bench, origin: Origin, svc: bytes, forest: bytes
) -> None:
    origin.promote("1.1.0", forest)
    bench.watch.look()
    store = Full(bench.settings.model_directory)
    fetcher = Fetcher(loader.source(bench.settings), store, bench.settings)
    bench.watch._fetcher, bench.watch._store = fetcher, store
    origin.promote("1.0.0", svc)
    for _ in range(2):
        bench.watch.look()
        assert bench.served == "1.0.0"
        assert bench.trouble() == "the disk is full"
    assert bench.metric("model_swaps_total") == 3  # it was put in place once
    store.full = False
    bench.watch.look()
    pointer = store.pointer()
    assert pointer
    assert pointer.sha256 == sha256(svc)
    assert bench.trouble() is None


def test_a_worker_that_comes_back_does_not_wait_for_another_ones_fetch(
    origin: Origin, settings_of: SettingsOf, svc: bytes
) -> None:
    origin.promote("1.0.0", svc)
    settings = settings_of(origin.alias)
    loader.run(settings)
    bench = Bench(settings)
    with Store(settings.model_directory).locked(1):
        bench.watch.begin()
        assert bench.served == "1.0.0"


def test_two_watches_share_one_directory_and_one_download(
    origin: Origin, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    origin.promote("1.0.0", svc)
    benches = [Bench(settings_of(origin.alias)) for _ in range(2)]
    for bench in benches:
        bench.watch.begin()
    origin.promote("1.1.0", forest)
    sent = origin.sent
    for bench in benches:
        bench.watch.look()
        assert bench.served == "1.1.0"
    assert origin.sent - sent == -(-len(forest) // 2**14)


def test_a_directory_that_is_gone_changes_nothing(bench: Bench, origin: Origin, forest: bytes) -> None:
    for path in bench.settings.model_directory.iterdir():
        path.unlink()
    bench.settings.model_directory.rmdir()
    bench.settings.model_directory.write_text("a file")
    origin.promote("1.1.0", forest)
    bench.watch.look()
    assert bench.served == "1.0.0"
    assert bench.report.trouble
    assert str(bench.settings.model_directory) in bench.report.trouble


def test_the_metrics_name_the_model_that_serves(bench: Bench, origin: Origin, svc: bytes, forest: bytes) -> None:
    origin.promote("1.1.0", forest)
    bench.watch.look()
    text = generate_latest(bench.registry).decode()
    assert f'model_info{{release="1.0.0",sha256="{sha256(svc)}"}} 0.0' in text
    assert f'model_info{{release="1.1.0",sha256="{sha256(forest)}"}} 1.0' in text


def test_a_file_without_a_digest_is_followed_when_warnings_are_enough(
    tmp_path: Path, settings_of: SettingsOf, svc: bytes, forest: bytes
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(svc)
    bench = Bench(settings_of(str(path), model_verify="warn"))
    bench.watch.begin()
    first = bench.swap.serving
    bench.watch.look()
    assert bench.swap.serving is first
    path.write_bytes(forest)
    bench.watch.look()
    assert bench.swap.serving
    assert bench.swap.serving.sha256 == sha256(forest)
