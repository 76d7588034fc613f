"""What the benchmark of the model server sends, counts and computes; the measuring itself is no test."""

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import msgspec
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from benchmarks import load
from benchmarks.model_server import bench, figures, grpc_load, networks, report, servers, tables, wire
from benchmarks.model_server.figures import Sample
from benchmarks.model_server.networks import Case
from benchmarks.model_server.plan import MANY, PARTS, Cell, Plan, plan
from benchmarks.model_server.relay import Relay
from benchmarks.model_server.servers import DEFAULT, OFF
from mlsys.network import Network
from mlsys.server import protocol
from mlsys.testing import eventually


@pytest.fixture(scope="session")
def cases(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return networks.cases(models, tmp_path_factory.mktemp("networks"))


def sample(per_second: float = 100.0, p50_us: int = 1000) -> Sample:
    return Sample(per_second, p50_us, 2 * p50_us, server_ms=0.5, client_ms=0.1)


def all_of(whole: Plan, **special: tuple[float, ...]) -> figures.Rounds:
    """Two rounds of each cell, all alike but for the servers named."""
    return {cell: [sample(each) for each in special.get(cell.server, (100, 100))] for cell in whole.cells()}


@pytest.mark.parametrize("name", ["cifar10_small", "iris_rf", "dense"])
def test_all_forms_carry_the_same_row_as_the_server_reads_it(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    network = Network.load(case.folder / "model.onnx")
    for form in ("json", "binary"):
        request = wire.request(form, case, case.rows[3])
        lengths = [value.encode() for header, value in request.headers.items() if header == wire.LENGTH]
        found = protocol.decode(request.body, lengths, network)
        assert np.array_equal(found.feeds["input"], case.rows[3:4])
        assert (found.outputs, found.binary) == ([case.output], [form == "binary"])
    message = service_pb2.ModelInferRequest.FromString(wire.request("grpc", case, case.rows[3]).body)
    assert message.raw_input_contents == [case.rows[3].tobytes()]
    assert list(message.inputs[0].shape) == [1, *case.rows[3].shape]


@pytest.mark.parametrize("name", ["cifar10_small", "cifar10_large", "iris_rf", "dense"])
def test_answers_to_the_rows_differ_so_that_a_mixed_up_batch_is_seen(cases: dict[str, Case], name: str) -> None:
    expected = cases[name].expected()
    others = [np.abs(expected - one).max(axis=1) > 2 * bench.TOLERANCE for one in expected]
    assert np.sum(others) >= len(expected)  # the forest gives neighbours the same leaf


def test_the_dense_network_is_three_layers_of_seeded_weights(cases: dict[str, Case], tmp_path: Path) -> None:
    again = networks.cases(cases["iris_rf"].folder.parent, tmp_path)["dense"]
    assert (again.folder / "model.onnx").read_bytes() == (cases["dense"].folder / "model.onnx").read_bytes()
    generator = np.random.default_rng(networks.SEED)
    layer = again.rows
    for _ in range(3):
        weights = generator.standard_normal((2048, 2048), np.float32) * np.float32((2 / 2048) ** 0.5)
        layer = np.maximum(layer @ weights, 0)
    assert np.allclose(again.expected(), layer, rtol=1e-3, atol=1e-3)


def test_a_plan_takes_each_figure_once_and_quick_takes_fewer() -> None:
    cells = plan(PARTS, quick=False).cells()
    assert len(cells) == len(set(cells))
    assert set(plan(PARTS, quick=True).cells()) < set(cells)
    assert {cell.server for cell in cells} == set(servers.SERVERS)


def test_the_server_as_shipped_is_told_nothing_of_what_is_swept() -> None:
    shipped = servers.shipped()
    assert servers.bound(shipped.max_batch) == servers.threads(shipped.workers, shipped.threads) == DEFAULT
    assert not {"MAX_BATCH", "WORKERS", "MODEL_THREADS"} & set(servers.SERVERS[DEFAULT].environment)
    assert servers.SERVERS[OFF].environment["MAX_BATCH"] == "1"


def test_gains_are_taken_within_each_round() -> None:
    on, off = Cell(DEFAULT, "dense", "binary", MANY), Cell(OFF, "dense", "binary", MANY)
    rounds = {on: [sample(50), sample(20), sample(60)], off: [sample(100), sample(50), sample(90)]}
    assert figures.gain(rounds, "dense", DEFAULT) == 0.5  # the ratio of the medians is 50 / 90


def test_mlserver_is_represented_by_the_configuration_that_answers_most() -> None:
    whole = plan(["peer"], quick=False)
    rounds = all_of(whole, default=(600, 600), mlserver_workers=(200, 310), mlserver=(180, 200))
    assert figures.best_peer(rounds, "json").server == "mlserver_workers"
    assert figures.over_peer(rounds, "json") == pytest.approx((600 / 200 + 600 / 310) / 2)


def test_the_winner_of_the_sweep_is_good_in_every_column_rather_than_best_in_one() -> None:
    shares = {(1, 1): [0.9, 0.9], (1, 2): [1.0, 0.5], (2, 1): [0.4, 1.0]}
    assert figures.winner(shares) == (1, 1)


def test_shares_are_of_the_best_in_each_column() -> None:
    whole = plan(["sweep"], quick=True)
    rounds = all_of(whole, default=(200, 200), workers_1_threads_1=(50, 50))
    shipped = servers.shipped()
    assert figures.shares(rounds, whole) == {(1, 1): [0.25] * 4, (shipped.workers, shipped.threads): [1.0] * 4}


def test_targets_are_those_of_the_parts_that_were_measured() -> None:
    whole = plan(["single", "batching"], quick=True)
    found = figures.targets(all_of(whole, default=(290, 290)), whole)
    assert [(target.met, target.measured) for target in found] == [(True, 2.9), (False, 2.9), (True, 1.0)]
    assert not figures.targets({}, plan(["sweep"], quick=True))


def test_what_is_written_has_every_table_its_plots_and_every_server(tmp_path: Path) -> None:
    whole = plan(PARTS, quick=False)
    rounds = all_of(whole, mlserver=(10, 10))
    sizes: tables.Sizes = {"grpc": (3189, 214), "binary": (3421, 415), "json": (11410, 498)}
    machine = {"cpu": "C", "cores": "2", "kernel": "Linux", "date": "2026-11-21"}
    result = report.Report(
        machine, {"ours": "v"}, "python -m b", 2, 2, whole, rounds, sizes, figures.targets(rounds, whole)
    )
    report.write(result, tmp_path)
    page = (tmp_path / "model_server.md").read_text()
    assert f"| {servers.shipped().max_batch} (as shipped) | 100 | 1.00 | 100 | 1.00 | 100 | 1.00 |" in page
    assert "| REST, JSON | 64 | 100 | 1.00 | 2.00 | 11,410 | 498 | 0.500 | 0.100 |" in page
    assert "| mlserver | 10 | 10 – 10 |" in page
    assert "- **missed**: dense, 64 clients: throughput" in page
    assert all(f"\n- {name}: `" in page for name in servers.SERVERS)
    assert len(msgspec.json.decode((tmp_path / "model_server.json").read_bytes())["cells"]) == len(rounds)
    assert {path.name for path in tmp_path.glob("*.png")} == {"model_server.png", "model_server_sweep.png"}


def test_a_part_that_was_not_measured_is_not_on_the_page(tmp_path: Path) -> None:
    whole = plan(["single"], quick=True)
    machine = {"cpu": "C", "cores": "2", "kernel": "Linux", "date": "2026-11-21"}
    report.write(report.Report(machine, {}, "python -m b", 1, 1, whole, all_of(whole), {}, []), tmp_path)
    page = (tmp_path / "model_server.md").read_text()
    assert "lone client" in page
    assert "MLServer" not in page
    assert not list(tmp_path.glob("*.png"))


def test_wrk_gets_one_thread_for_one_client_and_every_header() -> None:
    request = wire.Request("binary", "/p", {"Content-Type": "t", wire.LENGTH: "7"}, b"")
    command = bench.command(request, [8501, 8500], Path("body"), 1, 3)
    assert command[:3] == ["wrk", "-t1", "-c1"]
    assert command[-5:] == ["http://127.0.0.1:8501/p", "--", "@body", "Content-Type: t", f"{wire.LENGTH}: 7"]


class _Constant(http.server.BaseHTTPRequestHandler):
    """A server that mixes up its callers: all get the first one's answer."""

    answer = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002  # the name of the class above
        pass


@pytest.fixture
def constant(cases: dict[str, Case]) -> Iterator[int]:
    content = {"outputs": [{"name": "probabilities", "data": cases["iris_rf"].expected()[0].tolist()}]}
    _Constant.answer = msgspec.json.encode(content)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Constant) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_server_that_gives_one_caller_the_answer_of_another_is_not_measured(
    cases: dict[str, Case], constant: int
) -> None:
    case = cases["iris_rf"]
    with pytest.raises(RuntimeError, match="mixer answers iris_rf by json up to"):
        bench.verify("mixer", [constant, 0], "json", case, case.expected())


def test_the_relay_passes_on_and_counts_both_directions() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Relay(server.getsockname()[1]) as relay,
        socket.create_connection(("127.0.0.1", relay.port), 5) as caller,
    ):
        passed, _ = server.accept()
        with passed:
            caller.sendall(b"x" * 1000)
            passed.settimeout(5)
            eventually(lambda: len(passed.recv(2000, socket.MSG_PEEK)) == 1000, deadline_s=5)
            passed.sendall(b"y" * 10)
            assert caller.recv(100) == b"y" * 10
            assert (relay.sent, relay.received) == (1000, 10)


async def _measured(answer: grpc.StatusCode | bytes) -> load.Load:
    """The load on a server that knows one method, which answers so after the event loop had its turn."""

    async def infer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await asyncio.sleep(0)
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "no")
        assert request == b"request"
        return answer

    server = grpc.aio.server()
    service, _, method = grpc_load.METHOD[1:].partition("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(infer)})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await grpc_load.load(port, b"request", clients=3, seconds=0.2)
    finally:
        await server.stop(None)


def test_the_load_for_grpc_counts_answers_and_its_own_processor_time() -> None:
    found = asyncio.run(_measured(b"answer"))
    assert found.requests >= 3
    assert 0 < found.p50_us <= found.p99_us <= found.duration_us
    assert (found.refused, found.cpu_us > 0) == (0, True)


def test_a_refusal_of_grpc_makes_the_figure_void() -> None:
    said = msgspec.json.encode(asyncio.run(_measured(grpc.StatusCode.UNAVAILABLE))).decode()
    with pytest.raises(RuntimeError, match="were refused"):
        load.parse(said)
