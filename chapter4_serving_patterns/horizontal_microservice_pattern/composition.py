"""The lesson: one request asked of several services at once, none of whose failures is another's.

Who needs all answers waits for the slowest, so that the tail of each becomes the tail of all. Three things bound it: a
deadline, a policy that says how many answers are enough, and a second request to a replica for who is later than usual
(branch.py). What is missing is named, with its reason. Source: Dean, Barroso: The Tail at Scale, CACM 56(2), 2013.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from mlsys.errors import BadGateway, DeadlineExceeded, ErrorCode, NotReady

from .branch import Branch, Call, Missing

Q = TypeVar("Q")
A = TypeVar("A")
NOT_WAITED_FOR = "not_waited_for"
"""Code of a branch that had not answered when the result was decided."""
_GRAVEST_FIRST: tuple[type[BadGateway | NotReady | DeadlineExceeded], ...] = (BadGateway, NotReady, DeadlineExceeded)


class Policy(NamedTuple):
    """How many answers are `enough`, and whether one that has these still `waits` for the others until the deadline."""

    enough: int
    waits: bool

    @classmethod
    def parse(cls, text: str, branches: int) -> "Policy":
        """`all`, `best_effort` or `quorum=n`. Raises: ValueError for anything else, or a quorum that cannot be."""
        known = {"all": cls(branches, waits=False), "best_effort": cls(1, waits=True)}
        known |= {f"quorum={count}": cls(count, waits=False) for count in range(1, branches + 1)}
        if text not in known:
            raise ValueError(f"{text!r} is no policy for {branches} branches: {', '.join(known)}")
        return known[text]


class Composition(Generic[Q, A]):
    """Branches by name. Time is that of the event loop which it is used in."""

    def __init__(self, branches: Mapping[str, Branch[Q, A]]) -> None:
        self.branches = branches

    async def collect(self, question: Q, policy: Policy, timeout_s: float) -> dict[str, A | Missing]:
        """The outcome of every branch, in their order. Raises: ServiceError, as `require` does."""
        async with aclosing(self.each(question, policy, timeout_s)) as outcomes:
            found = {name: outcome async for name, outcome in outcomes}
        require(policy, found)
        return {name: found[name] for name in self.branches}

    async def each(
        self, question: Q, policy: Policy, timeout_s: float
    ) -> AsyncGenerator[tuple[str, A | Missing], None]:
        """Each branch and its outcome as it comes; then those that are not waited for. Closed early, it leaves nothing.

        It ends when the policy is met, or cannot be met any more, and after `timeout_s` seconds at the latest.
        """
        came: asyncio.Queue[tuple[str, A | Missing] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        deadline = loop.call_at(end, came.put_nowait, None)
        late = Missing(NOT_WAITED_FOR, "The answers of others had decided the result.")
        calls = {name: Call(branch, question, end) for name, branch in self.branches.items()}
        answered = 0
        try:
            for name, call in calls.items():
                call.begin(partial(_put, came, name))
            while calls and (not came.empty() or policy.waits or answered < policy.enough <= answered + len(calls)):
                if (outcome := await came.get()) is None:
                    late = Missing(ErrorCode.DEADLINE_EXCEEDED, f"It did not answer within {timeout_s:.3g} s.")
                    break
                del calls[outcome[0]]
                answered += not isinstance(outcome[1], Missing)
                yield outcome
            for call in calls.values():
                call.let_go()
        except BaseException:  # whoever asked went away
            for call in calls.values():
                call.cancel()
            raise
        finally:
            deadline.cancel()
        for name in calls:
            yield name, late


def _put(came: "asyncio.Queue[tuple[str, A | Missing] | None]", name: str, outcome: A | Missing) -> None:
    came.put_nowait((name, outcome))


def require(policy: Policy, found: Mapping[str, object]) -> None:
    """Raises: BadGateway, NotReady or DeadlineExceeded, the first that applies, if too few answered; it names them."""
    missing = {name: outcome for name, outcome in found.items() if isinstance(outcome, Missing)}
    if len(found) - len(missing) < policy.enough:
        codes = {reason.code for reason in missing.values()}
        kind = next((kind for kind in _GRAVEST_FIRST if kind.code in codes), BadGateway)
        raise kind(
            f"{len(found) - len(missing)} of {len(found)} services answered, and {policy.enough} must.",
            details={name: reason._asdict() for name, reason in missing.items()},
        )
