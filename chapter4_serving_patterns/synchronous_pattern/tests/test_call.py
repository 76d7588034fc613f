"""The lesson, with a clock of its own: waiting has an end, and retrying has a price."""

import threading
from collections.abc import Callable

import pytest

from mlsys.errors import DeadlineExceeded

from ..call import Caller, Deadline, RetryBudget, Unavailable


class Time:
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Server:
    """Fails as often as it is told to, each time after `takes_s`, and notes what it is given."""

    def __init__(self, time: Time, failures: int, takes_s: float = 0.0, retry_after_s: float = 0.0) -> None:
        self.time, self.failures, self.takes_s, self.retry_after_s = time, failures, takes_s, retry_after_s
        self.left: list[float | None] = []

    def __call__(self, left_s: float | None) -> str:
        self.left.append(left_s)
        self.time.now += self.takes_s
        if len(self.left) <= self.failures:
            raise Unavailable("busy", retry_after_s=self.retry_after_s)
        return "answer"


@pytest.fixture
def time() -> Time:
    return Time()


def caller(time: Time, budget: RetryBudget | None = None, draw: Callable[[], float] = lambda: 1.0) -> Caller:
    return Caller(budget or RetryBudget(most=1000), pause=time.pause, draw=draw)


def test_a_call_that_succeeds_pauses_for_nothing(time: Time) -> None:
    assert caller(time).call(Server(time, failures=0), Deadline(5, time.clock)) == "answer"
    assert time.pauses == []


def test_every_attempt_is_told_what_is_left_of_the_one_deadline(time: Time) -> None:
    server = Server(time, failures=2, takes_s=1)
    assert caller(time).call(server, Deadline(5, time.clock)) == "answer"
    assert server.left == pytest.approx([5, 5 - 1 - 0.1, 5 - 2 - 0.1 - 0.2])


def test_two_calls_of_one_question_share_its_deadline(time: Time) -> None:
    deadline = Deadline(5, time.clock)
    caller(time).call(Server(time, failures=0, takes_s=3), deadline)
    second = Server(time, failures=0, takes_s=3)
    caller(time).call(second, deadline)
    assert second.left == [2]
    third = Server(time, failures=0)
    with pytest.raises(DeadlineExceeded, match="no answer within 5 s"):
        caller(time).call(third, deadline)
    assert third.left == [], "asked although nobody waits any more"


def test_no_pause_outlasts_the_deadline(time: Time) -> None:
    with pytest.raises(Unavailable):
        caller(time).call(Server(time, failures=1000), Deadline(1, time.clock))
    assert time.now < 101


def test_without_a_deadline_attempts_are_told_that_there_is_no_end(time: Time) -> None:
    server = Server(time, failures=3, takes_s=1e6)
    assert caller(time).call(server, Deadline(None, time.clock)) == "answer"
    assert server.left == [None] * 4


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), ValueError("wrong"), KeyboardInterrupt()])
def test_what_another_attempt_cannot_mend_is_raised_at_once(time: Time, error: BaseException) -> None:
    asked = []

    def ask(left_s: float | None) -> str:
        asked.append(left_s)
        raise error

    with pytest.raises(type(error)):
        caller(time).call(ask, Deadline(5, time.clock))
    assert asked == [5]


def test_pauses_double_up_to_the_longest_and_are_drawn_evenly_below_that(time: Time) -> None:
    server = Server(time, failures=7)
    caller(time).call(server, Deadline(1000, time.clock))
    assert time.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    time.pauses.clear()
    caller(time, draw=lambda: 0.25).call(Server(time, failures=3), Deadline(1000, time.clock))
    assert time.pauses == pytest.approx([0.025, 0.05, 0.1])


def test_the_server_is_left_alone_for_as_long_as_it_asks(time: Time) -> None:
    caller(time).call(Server(time, failures=2, retry_after_s=3), Deadline(1000, time.clock))
    assert time.pauses == pytest.approx([3.1, 3.2])
    with pytest.raises(Unavailable):
        caller(time).call(Server(time, failures=1, retry_after_s=3), Deadline(2, time.clock))
    assert len(time.pauses) == 2, "waited for a server that said it would be too late"


def test_a_server_that_is_down_gets_a_tenth_more_calls_and_not_a_multiple(time: Time) -> None:
    budget = RetryBudget(share=0.1, most=3)
    down = Server(time, failures=10**9)
    for _ in range(1000):
        with pytest.raises(Unavailable):
            caller(time, budget).call(down, Deadline(60, time.clock))
    assert 1000 + 95 <= len(down.left) <= 1000 + 3 + 100


def test_a_single_call_may_be_repeated(time: Time) -> None:
    assert caller(time, RetryBudget()).call(Server(time, failures=3), Deadline(60, time.clock)) == "answer"


def test_quiet_times_save_no_more_retries_than_the_most(time: Time) -> None:
    budget = RetryBudget(share=0.1, most=3)
    for _ in range(1000):
        caller(time, budget).call(Server(time, failures=0), Deadline(60, time.clock))
    down = Server(time, failures=10**9)
    with pytest.raises(Unavailable):
        caller(time, budget).call(down, Deadline(600, time.clock))
    assert len(down.left) == 4


def test_threads_together_take_no_more_out_of_a_budget_than_there_is() -> None:
    budget = RetryBudget(share=0, most=500)
    taken = []

    def take() -> None:
        taken.extend([1 for _ in range(1000) if budget.take_out()])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 500
