"""What the benchmarks compute from what was measured; the measuring itself is no test."""

import pytest

from benchmarks import command, load
from benchmarks.verdicts import Target, paired, verdicts
from benchmarks.web_single import figures, report
from benchmarks.web_single.figures import Sample

SAID = """Running 1s test @ http://127.0.0.1:1/predict
  2 threads and 16 connections
Requests/sec:  10000.00
{"requests": 10000, "duration_us": 2000000, "p50_us": 70, "p99_us": 140, "refused": 0, "socket_errors": 0}
"""


def sample(per_second: float, p50_us: int = 100, p99_us: int = 200, rss: int = 100_000_000) -> Sample:
    return Sample(per_second, p50_us, p99_us, processes=2, rss_total=2 * rss, rss_largest=rss)


@pytest.mark.parametrize("rounds", ["0", "-1", "1.5", "²", "many", ""])
def test_a_number_of_rounds_that_is_none_is_refused(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parser("web_single", "").parse_args([f"--rounds={rounds}"])
    assert "give a whole number from 1" in capsys.readouterr().err


def test_the_throughput_is_requests_by_the_time_that_wrk_measured() -> None:
    found = load.parse(SAID)
    assert (found.per_second, found.p50_us, found.p99_us) == (5000.0, 70, 140)


@pytest.mark.parametrize(
    ("sound", "broken", "reason"),
    [
        ('"refused": 0', '"refused": 3', "3 were refused"),
        ('"socket_errors": 0', '"socket_errors": 2', "2 failed on the socket"),
        ('"requests": 10000', '"requests": 0', "Of 0 requests"),
    ],
)
def test_a_run_with_a_failed_request_or_none_gives_no_figure(sound: str, broken: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        load.parse(SAID.replace(sound, broken))


def test_a_ratio_is_taken_within_each_round_before_the_median() -> None:
    ours, bare = [sample(50), sample(20), sample(60)], [sample(100), sample(50), sample(90)]
    assert paired(ours, bare, lambda s: s.per_second) == 0.5  # the ratio of the medians is 50 / 90


def test_rounds_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([sample(1)], [sample(1), sample(2)], lambda s: s.per_second)


def test_a_row_holds_medians_and_extremes_in_milliseconds_and_megabytes() -> None:
    found = figures.row([sample(10), sample(30, 300, 900), sample(20)], [sample(100)] * 3)
    assert (found.per_second, found.least, found.most, found.ratio) == (20, 10, 30, 0.2)
    assert (found.p50_ms, found.p99_ms, found.tail) == (0.1, 0.2, 2.0)
    assert (found.rss_total_mb, found.rss_largest_mb) == (200, 100)


def test_targets_are_met_on_their_side_of_the_limit_only() -> None:
    rounds = {"bare": [sample(100)], "ours": [sample(29, 100, 301, rss=111_000_000)], "mlserver": [sample(4)]}
    found = figures.targets(rounds, {1: 1.5})
    assert [(target.met, round(target.measured, 2)) for target in found] == [
        (False, 0.29),
        (False, 1.5),  # 1.505
        (False, 111.0),
        (True, 7.25),
        (True, 1.5),
    ]


def test_a_missed_target_is_named_as_missed_with_its_figure() -> None:
    said = verdicts([Target("x", 5.0, 6.0, at_least=True), Target("y", 5.0, 6.0, at_least=False)])
    assert said == ["- **missed**: x: 5.00 (at least 6)", "- met: y: 5.00 (at most 6)"]


def test_the_page_has_a_row_and_the_flags_of_every_server_that_was_measured() -> None:
    rounds = {"bare": [sample(100)], "ours": [sample(30)]}
    rows = {name: figures.row(samples, rounds["bare"]) for name, samples in rounds.items()}
    machine = {"cpu": "C", "cores": "2", "kernel": "Linux", "date": "2026-11-20"}
    whole = report.Report(machine, {"ours": "v"}, "python -m b", 5, rounds, {1: 0.5}, figures.targets(rounds, {1: 0.5}))
    page = report.markdown(whole, rows)
    assert "| web single pattern (+ FastAPI) (`ours`) | 30 | 30 – 30 | 0.300 |" in page
    assert "- ours: `WORKERS=2 PORT={port}" in page
    assert "litserve" not in page
