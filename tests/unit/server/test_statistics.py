"""What is counted of a model."""

from prometheus_client import CollectorRegistry

from mlsys.server.statistics import Statistics


def test_the_times_are_those_of_requests_each_of_which_waits_for_its_whole_batch() -> None:
    counted = Statistics(CollectorRegistry()).of("adder")
    counted.observe(rows=6, waits=[0.5, 0.25, 0.25], seconds=2.0)
    assert (counted.requests, counted.rows, counted.executions) == (3, 6, 1)
    assert (counted.queue_s, counted.compute_s) == (1.0, 6.0)
