"""The queue on a real Redis: what it promises when workers die, callers repeat themselves, and records are damaged."""

import asyncio
import hashlib
import os
import random
import signal
import uuid
from collections.abc import Awaitable, Callable

import pytest
from redis import ResponseError

from mlsys.errors import Conflict, NotReady
from mlsys.redis import Redis, connect
from mlsys.redis_server import RedisServer

from ..jobs import DEAD, EVENTS, GROUP, JOB, KEY, PACE, PICTURE, STREAM, WAITING, Jobs
from ..records import Dead, Full, Lease
from .redis_queue import POLICY, idle_ms, lapse, play, queued

SHARED = {STREAM, WAITING, DEAD, PACE}


async def keys(client: Redis) -> set[str]:
    return {key.decode() async for key in client.scan_iter()}


async def one(jobs: Jobs, consumer: str = "anna") -> Lease:
    (lease,) = await jobs.lease(consumer, 1)
    return lease


async def state(jobs: Jobs, id_: str) -> str:
    job = await jobs.job(id_)
    return job.state if job else "gone"


async def reasons(jobs: Jobs) -> list[str]:
    return [letter.reason for letter in await jobs.dead(100)]


@queued()
async def test_a_job_goes_from_queued_to_done_and_leaves_only_its_result(jobs: Jobs, client: Redis) -> None:
    id_, new = await jobs.enqueue(b"picture")
    assert new
    assert str(uuid.UUID(id_)) == id_
    assert await keys(client) == {STREAM, WAITING, PACE, JOB + id_, PICTURE + id_}
    assert await jobs.job(id_) == ("queued", 0, 0, None, None, None)
    lease = await one(jobs)
    assert lease == (id_, lease.entry, b"picture", 1, "anna")
    assert await jobs.job(id_) == ("running", 1, 0, None, None, None)
    assert await jobs.finish([(lease, b"cat")]) == {id_}
    assert await jobs.job(id_) == ("done", 1, None, None, b"cat", None)
    assert await keys(client) == {STREAM, PACE, JOB + id_}
    assert await client.xlen(STREAM) == 0
    assert await jobs.lease("anna", 1) == []


@queued()
async def test_a_job_stays_in_the_queue_until_its_result_is_stored(jobs: Jobs, client: Redis) -> None:
    await jobs.enqueue(b"picture")
    lease = await one(jobs)
    assert await client.xlen(STREAM) == 1
    assert (await client.xpending(STREAM, GROUP))["pending"] == 1
    await jobs.finish([(lease, b"cat")])
    assert await client.xlen(STREAM) == 0
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


@queued()
async def test_jobs_are_lent_in_the_order_in_which_they_came_and_each_once(jobs: Jobs, client: Redis) -> None:
    ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(20)]
    positions = [(await jobs.job(id_) or pytest.fail()).position for id_ in ids]
    assert positions == list(range(20))
    delivered = [await jobs.lease(consumer, 4) for consumer in "abcde"]
    assert [lease.id for leases in delivered for lease in leases] == ids
    assert await jobs.lease("f", 4) == []


@queued(max_queue=50)
async def test_of_many_who_come_at_once_as_many_get_in_as_there_is_room_for(jobs: Jobs, client: Redis) -> None:
    answers = await asyncio.gather(*(jobs.enqueue(b"%d" % n) for n in range(120)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Full)]
    assert len(refused) == 70
    assert (await jobs.queue()).depth == 50
    assert len(await keys(client)) == 50 * 2 + len(SHARED - {DEAD}), "a refused job has left something"


@queued(max_queue=2)
async def test_a_full_queue_says_how_full_it_is_and_how_long_it_will_take(jobs: Jobs, client: Redis) -> None:
    for _ in range(2):
        await jobs.enqueue(b"picture")
    with pytest.raises(Full, match="2 jobs are not done") as unknown:
        await jobs.enqueue(b"picture")
    assert unknown.value.details == {"depth": 2, "wait_s": None}
    assert unknown.value.headers == (("retry-after", "1"),)
    await client.hset(PACE, mapping={"jobs": "2", "ms": "50000"})
    with pytest.raises(Full) as known:
        await jobs.enqueue(b"picture")
    assert known.value.details == {"depth": 2, "wait_s": 50.0}
    assert known.value.headers == (("retry-after", "5"),), "a tenth of the queue"
    await jobs.finish([(await one(jobs), b"cat")])
    assert (await jobs.enqueue(b"picture")).new


@queued()
async def test_the_estimate_is_the_pace_of_late_times_the_jobs_before(jobs: Jobs, client: Redis) -> None:
    ids = [(await jobs.enqueue(b"picture")).id for _ in range(4)]
    lease = await one(jobs)
    await client.hset(JOB + lease.id, "started_ms", int(await client.hget(JOB + lease.id, "started_ms") or 0) - 10_000)
    await jobs.finish([(lease, b"cat")])
    pace = (await jobs.queue()).pace_ms
    assert pace
    assert 10_000 <= pace < 30_000
    waits = [(await jobs.job(id_) or pytest.fail()).wait_s for id_ in ids]
    assert waits == [None, *(pytest.approx(count * pace / 1000, abs=0.01) for count in (1, 2, 3))]


@queued()
async def test_the_pace_is_of_busy_time_alone_and_the_past_fades(jobs: Jobs, client: Redis) -> None:
    await client.hset(PACE, mapping={"jobs": "100", "ms": "100000", "finished_ms": "1"})  # 1 s a job, long ago
    for _ in range(300):
        await jobs.enqueue(b"picture")
        leases = await jobs.lease("anna", 10)
        await jobs.finish([(lease, b"cat") for lease in leases])
    pace = (await jobs.queue()).pace_ms
    assert pace
    assert pace < 500, "since the first job is no busy time, and what was fades"


@queued(max_queue=1)
async def test_a_repeated_key_is_answered_by_the_same_job_also_when_the_queue_is_full(
    jobs: Jobs, client: Redis
) -> None:
    answers = await asyncio.gather(*(jobs.enqueue(b"picture", key="a key") for _ in range(20)))
    assert len({answer.id for answer in answers}) == 1
    assert [answer.new for answer in answers].count(True) == 1
    with pytest.raises(Conflict, match="another picture"):
        await jobs.enqueue(b"another", key="a key")
    with pytest.raises(Full):
        await jobs.enqueue(b"another", key="another key")
    await jobs.finish([(await one(jobs), b"cat")])
    assert await jobs.enqueue(b"picture", key="a key") == (answers[0].id, False), "also when it is done"


@queued()
async def test_a_key_is_free_again_when_its_job_was_deleted(jobs: Jobs, client: Redis) -> None:
    first = await jobs.enqueue(b"picture", key="a key")
    await jobs.delete(first.id)
    second = await jobs.enqueue(b"another", key="a key")
    assert second.new
    assert second.id != first.id


@queued()
async def test_a_key_whose_record_is_damaged_begins_a_new_job(jobs: Jobs, client: Redis) -> None:
    first = await jobs.enqueue(b"picture", key="a key")
    await client.set(JOB + first.id, "no hash")
    assert (await jobs.enqueue(b"picture", key="a key")).new


@queued()
async def test_a_step_that_is_sent_twice_has_the_effect_of_one(jobs: Jobs, client: Redis) -> None:
    arguments = (GROUP, str(uuid.uuid4()), "digest", b"picture", 100, "")
    assert await jobs._run("enqueue", *arguments) == await jobs._run("enqueue", *arguments)
    assert await client.xlen(STREAM) == 1
    await jobs.delete(arguments[1])
    ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(4)]
    first, second, third, fourth = await jobs.lease("anna", 4)
    for _ in range(2):
        await jobs.finish([(first, b"cat")])
        await jobs.fail(second, "why")
        await jobs.fail(third, "poison", poison=True)
        await jobs.give_back([fourth])
    assert [await state(jobs, id_) for id_ in ids] == ["done", "queued", "dead", "queued"]
    assert await reasons(jobs) == ["poison"]
    assert [await jobs.requeue(ids[2]) for _ in range(2)] == [True, False]
    assert [await jobs.delete(ids[2]) for _ in range(2)] == [True, False]
    await lapse(client)
    assert [(lease.id, lease.attempt) for lease in await jobs.lease("bob", 9)] == [(ids[1], 2), (ids[3], 1)]


@queued()
async def test_a_dead_workers_jobs_go_to_another_when_its_leases_have_run_out_and_not_before(
    jobs: Jobs, client: Redis
) -> None:
    ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(3)]
    await jobs.lease("anna", 2)
    assert [lease.id for lease in await jobs.lease("bob", 3)] == ids[2:]
    assert await jobs.lease("bob", 3) == []
    await lapse(client)
    again = await jobs.lease("carl", 3)
    assert [(lease.id, lease.attempt, lease.picture) for lease in again] == [
        (id_, 2, b"%d" % number) for number, id_ in enumerate(ids)
    ]
    assert [await state(jobs, id_) for id_ in ids] == ["running"] * 3


@queued(lease_ms=250)
async def test_a_lease_runs_out_by_itself(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    await one(jobs, "anna")
    while not (leases := await jobs.lease("bob", 1, block_ms=50)):
        pass
    assert (leases[0].id, leases[0].attempt) == (id_, 2)


@queued(max_attempts=3)
async def test_attempts_are_counted_of_workers_that_die_and_too_many_make_a_dead_letter(
    jobs: Jobs, client: Redis
) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    for attempt in (1, 2, 3):
        assert (await one(jobs, f"victim {attempt}")).attempt == attempt
        await lapse(client)
    assert await jobs.lease("survivor", 1) == []
    job = await jobs.job(id_)
    assert job
    assert job.state == "dead"
    assert job.reason == "Delivered 3 times, and no worker lived to say how it went."
    assert [(letter.id, letter.reason) for letter in await jobs.dead(9)] == [(id_, job.reason)]
    assert await client.xlen(STREAM) == 0
    assert (await jobs.queue())[::2] == (0, 1)


@queued(max_attempts=2)
async def test_the_last_attempt_is_made_alone_so_that_a_job_that_kills_its_worker_takes_no_other_with_it(
    jobs: Jobs, client: Redis
) -> None:
    ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(3)]
    assert len(await jobs.lease("victim", 9)) == 3
    await lapse(client)
    for id_ in ids:
        (lease,) = await jobs.lease("bob", 9)
        assert (lease.id, lease.attempt) == (id_, 2)
        await jobs.finish([(lease, b"cat")])


@queued(max_attempts=2)
async def test_who_makes_a_last_attempt_is_lent_nothing_beside_it_and_others_go_on(jobs: Jobs, client: Redis) -> None:
    deadly = (await jobs.enqueue(b"deadly")).id
    await one(jobs, "victim")
    await lapse(client)
    fresh = (await jobs.enqueue(b"fresh")).id
    assert [lease.id for lease in await jobs.lease("anna", 9)] == [deadly]
    assert await jobs.lease("anna", 9, block_ms=10) == []
    assert [lease.id for lease in await jobs.lease("bob", 9)] == [fresh]


@queued(max_attempts=2)
async def test_a_worker_that_still_has_jobs_is_lent_nothing_until_it_can_make_a_last_attempt(
    jobs: Jobs, client: Redis
) -> None:
    deadly = (await jobs.enqueue(b"deadly")).id
    for _ in range(2):
        await jobs.enqueue(b"picture")
    await one(jobs, "victim")
    first = await one(jobs, "anna")
    await lapse(client)
    await jobs.extend([first])
    assert await jobs.lease("anna", 9) == [], "neither the deadly one nor what came after it"
    await jobs.finish([(first, b"cat")])
    assert [lease.id for lease in await jobs.lease("anna", 9)] == [deadly]


@queued(max_attempts=1)
async def test_where_each_attempt_is_the_last_jobs_are_lent_together_all_the_same(jobs: Jobs, client: Redis) -> None:
    for _ in range(6):
        await jobs.enqueue(b"picture")
    leases = await jobs.lease("anna", 3)
    assert len(leases) == 3
    assert len(await jobs.lease("anna", 2)) == 2
    await jobs.give_back(leases)
    assert len(await jobs.lease("anna", 9)) == 4


@queued(max_attempts=5, retry_ms=1000, lease_ms=5000)
async def test_a_failed_job_is_tried_again_after_a_pause_that_doubles(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    for attempt, pause_ms in ((1, 1000), (2, 2000), (3, 4000), (4, 5000)):
        lease = await one(jobs)
        assert lease.attempt == attempt
        await jobs.fail(lease, "not now")
        assert await jobs.job(id_) == ("queued", attempt, 0, None, None, "not now")
        assert await idle_ms(client, lease) >= 5000 - pause_ms
        assert await idle_ms(client, lease) < 5000 - pause_ms + 900
        await lapse(client)
    await jobs.fail(await one(jobs), "never")
    assert await state(jobs, id_) == "dead"
    assert await reasons(jobs) == ["never"]


@queued(lease_ms=5000, retry_ms=4000)
async def test_a_failed_job_is_not_lent_before_its_pause_is_over(jobs: Jobs, client: Redis) -> None:
    await jobs.enqueue(b"picture")
    await jobs.fail(await one(jobs), "not now")
    assert await jobs.lease("bob", 1) == []


@queued()
async def test_poison_is_a_dead_letter_at_once_which_is_kept_for_a_while_and_no_longer(
    jobs: Jobs, client: Redis
) -> None:
    id_ = (await jobs.enqueue(b"no picture", key="a key")).id
    await jobs.fail(await one(jobs), "It is no picture.", poison=True)
    assert await jobs.job(id_) == ("dead", 1, None, None, None, "It is no picture.")
    (letter,) = await jobs.dead(9)
    assert letter == Dead(id_, "It is no picture.", "1", letter.at_ms)
    for key in await keys(client) - SHARED:
        assert 0 < await client.ttl(key) <= POLICY.dead_ttl_s, key


@queued()
async def test_a_dead_job_that_is_queued_again_is_as_new_and_last(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture", key="a key")).id
    await jobs.fail(await one(jobs), "why", poison=True)
    other = (await jobs.enqueue(b"other")).id
    assert await jobs.requeue(id_)
    assert await jobs.dead(9) == []
    assert await jobs.job(id_) == ("queued", 0, 1, None, None, None)
    assert {await client.ttl(key) for key in await keys(client)} == {-1}
    first, second = await jobs.lease("bob", 9)
    assert (first.id, second.id) == (other, id_)
    assert (second.picture, second.attempt) == (b"picture", 1)
    assert await jobs.finish([(second, b"cat")]) == {id_}


@queued()
async def test_only_a_dead_job_whose_picture_is_there_can_be_queued_again(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    for not_dead in (id_, str(uuid.uuid4()), "", "*"):
        assert not await jobs.requeue(not_dead)
    await jobs.fail(await one(jobs), "why", poison=True)
    await client.delete(PICTURE + id_)
    assert not await jobs.requeue(id_)
    assert len(await jobs.dead(9)) == 1


@queued(max_attempts=2)
async def test_a_job_that_is_given_back_can_be_had_at_once_and_no_attempt_is_counted(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    for number in range(7):
        lease = await one(jobs, f"worker {number}")
        assert lease.attempt == 1
        await jobs.give_back([lease])
        assert await jobs.job(id_) == ("queued", 0, 0, None, None, None)


@queued()
async def test_of_two_who_have_the_same_job_the_first_stores_its_result_and_the_other_none(
    jobs: Jobs, client: Redis
) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    slow = await one(jobs, "slow")
    await lapse(client)
    quick = await one(jobs, "quick")
    stored = await asyncio.gather(jobs.finish([(slow, b"slow")]), jobs.finish([(quick, b"quick")]))
    assert sorted(stored, key=len) == [set(), {id_}]
    job = await jobs.job(id_)
    assert job
    assert job.result == (b"slow" if stored[0] else b"quick")


@queued()
async def test_who_has_lost_a_lease_cannot_take_the_job_from_who_has_it_now(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    lost = await one(jobs, "anna")
    await lapse(client)
    held = await one(jobs, "bob")
    await jobs.fail(lost, "late")
    await jobs.fail(lost, "late", poison=True)
    await jobs.give_back([lost])
    assert await jobs.extend([lost]) == set()
    assert await state(jobs, id_) == "running"
    assert await jobs.lease("carl", 1) == []
    assert await jobs.extend([held]) == {id_}
    assert await jobs.finish([(held, b"cat")]) == {id_}


@queued()
async def test_a_worker_that_gets_its_own_job_again_has_lost_the_first_lease(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    first = await one(jobs, "anna")
    await lapse(client)
    second = await one(jobs, "anna")
    assert await jobs.extend([first, second]) == {id_}
    await jobs.give_back([first])
    assert await state(jobs, id_) == "running"


@queued()
async def test_a_heartbeat_extends_what_is_held_and_says_what_is_not(jobs: Jobs, client: Redis) -> None:
    for number in range(4):
        await jobs.enqueue(b"%d" % number)
    leases = await jobs.lease("anna", 4)
    await jobs.finish([(leases[0], b"cat")])
    await jobs.delete(leases[1].id)
    await jobs.give_back([leases[2]])
    await lapse(client)
    assert await jobs.extend(leases) == {leases[3].id}
    assert await idle_ms(client, leases[3]) < POLICY.lease_ms
    assert [lease.id for lease in await jobs.lease("bob", 9)] == [leases[2].id]
    assert await jobs.extend([]) == set()


@queued()
async def test_a_deleted_job_leaves_nothing_whatever_its_state_and_is_never_lent(jobs: Jobs, client: Redis) -> None:
    waiting = (await jobs.enqueue(b"waiting", key="a key")).id
    assert await jobs.delete(waiting)
    assert await jobs.lease("anna", 1) == []
    running = (await jobs.enqueue(b"running")).id
    lease = await one(jobs)
    assert await jobs.delete(running)
    assert await jobs.finish([(lease, b"cat")]) == set(), "what comes of it is dropped"
    for call in (jobs.fail(lease, "why"), jobs.fail(lease, "why", poison=True), jobs.give_back([lease])):
        await call
    done = (await jobs.enqueue(b"done")).id
    await jobs.finish([(await one(jobs), b"cat")])
    assert await jobs.delete(done)
    dead = (await jobs.enqueue(b"dead")).id
    await jobs.fail(await one(jobs), "why", poison=True)
    assert await jobs.delete(dead)
    assert not await jobs.delete(dead)
    assert await jobs.dead(9) == []
    assert await keys(client) <= SHARED
    assert (await jobs.queue())[::2] == (0, 0)
    assert (await client.xpending(STREAM, GROUP))["pending"] == await client.xlen(STREAM) == 0


@pytest.mark.parametrize(
    "id_", ["", "*", "?" * 36, "../x", "{jobs}:stream", "A" * 5000, "é\udcff", "06952DA5-5A78-4970-9CDA-0A0858478DDC"]
)
def test_what_is_no_id_is_no_job(redis_url: str, id_: str) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        await jobs.enqueue(b"picture")
        assert await jobs.job(id_) is None
        assert not await jobs.delete(id_)
        assert not await jobs.requeue(id_)
        assert (await jobs.queue()).depth == 1

    play(redis_url, scenario)


Damage = Callable[[Redis, str], Awaitable[object]]
DAMAGES: dict[str, Damage] = {
    "a record without its digest": lambda client, id_: client.hdel(JOB + id_, "digest"),
    "a record of another version": lambda client, id_: client.hset(JOB + id_, "v", "2"),
    "a record without a version": lambda client, id_: client.hdel(JOB + id_, "v"),
    "a record of another type": lambda client, id_: client.set(JOB + id_, b"\xff"),
    "no picture": lambda client, id_: client.delete(PICTURE + id_),
    "half a picture": lambda client, id_: client.set(PICTURE + id_, b"pic"),
    "a picture of another type": lambda client, id_: replace(client, PICTURE + id_),
}


async def replace(client: Redis, key: str) -> None:
    await client.delete(key)
    await client.sadd(key, "not a string")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_job_is_a_dead_letter_and_harms_no_other(redis_url: str, damage: Damage) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        ids = [(await jobs.enqueue(b"picture")).id for _ in range(3)]
        await damage(client, ids[1])
        leases = await jobs.lease("anna", 9)
        assert [lease.id for lease in leases] == [ids[0], ids[2]]
        job = await jobs.job(ids[1])
        assert job
        assert (job.state, job.reason) == ("dead", "Its record or its picture in Redis is damaged.")
        assert [letter.id for letter in await jobs.dead(9)] == [ids[1]]
        await jobs.finish([(lease, b"cat") for lease in leases])
        assert (await jobs.queue())[::2] == (0, 1)
        assert await client.xlen(STREAM) == 0
        assert await jobs.delete(ids[1])

    play(redis_url, scenario)


@queued()
async def test_an_entry_that_names_no_job_is_a_dead_letter_and_one_whose_job_is_gone_is_dropped(
    jobs: Jobs, client: Redis
) -> None:
    await jobs.enqueue(b"picture")
    await client.xadd(STREAM, {"something": "else"})
    await client.xadd(STREAM, {"id": str(uuid.uuid4())})
    await client.xadd(STREAM, {"id": b"\xff\xfe"})
    assert len(await jobs.lease("anna", 9)) == 1
    assert [letter.id for letter in await jobs.dead(9)] == [""]
    assert await client.xlen(STREAM) == 1


@queued()
async def test_an_entry_that_somebody_removed_does_not_stop_the_others(jobs: Jobs, client: Redis) -> None:
    for _ in range(2):
        await jobs.enqueue(b"picture")
    removed, kept = await jobs.lease("anna", 2)
    await client.xdel(STREAM, removed.entry)
    await lapse(client)
    assert [lease.id for lease in await jobs.lease("bob", 9)] == [kept.id]
    assert (await client.xpending(STREAM, GROUP))["pending"] == 1


@pytest.mark.parametrize("entry", [None, "0-0", "no entry"])
def test_a_result_is_stored_once_also_where_the_place_in_the_queue_is_damaged(
    redis_url: str, entry: str | None
) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        id_ = (await jobs.enqueue(b"picture")).id
        lease = await one(jobs)
        await (client.hset(JOB + id_, "entry", entry) if entry else client.hdel(JOB + id_, "entry"))
        assert await jobs.finish([(lease, b"cat")]) == {id_}
        assert await client.ttl(JOB + id_) > 0
        await lapse(client)
        assert await jobs.lease("bob", 1) == []
        assert (await jobs.job(id_) or lease)[0] == "done"
        assert (await client.xlen(STREAM), (await client.xpending(STREAM, GROUP))["pending"]) == (0, 0)
        assert await jobs.delete(id_)

    play(redis_url, scenario)


@queued()
async def test_a_job_that_is_in_the_stream_twice_is_done_once(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    await client.xadd(STREAM, {"id": id_})
    assert await jobs.finish([(await one(jobs), b"first")]) == {id_}
    assert await jobs.lease("anna", 9) == []
    assert await jobs.job(id_) == ("done", 1, None, None, b"first", None)
    assert await client.xlen(STREAM) == 0


@pytest.mark.parametrize("verb", ["delete", "requeue"])
def test_a_dead_job_whose_letter_is_not_found_can_be_deleted_and_queued_again(redis_url: str, verb: str) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        id_ = (await jobs.enqueue(b"picture")).id
        await jobs.fail(await one(jobs), "no picture", poison=True)
        await client.hset(JOB + id_, "entry", "no entry")
        assert await (jobs.delete if verb == "delete" else jobs.requeue)(id_)
        assert await state(jobs, id_) == ("gone" if verb == "delete" else "queued")

    play(redis_url, scenario)


@queued()
async def test_a_name_for_a_key_that_is_taken_by_something_else_is_taken_back(jobs: Jobs, client: Redis) -> None:
    name = KEY + hashlib.sha256(b"a key").hexdigest()
    await client.sadd(name, "not a string")
    id_, new = await jobs.enqueue(b"picture", key="a key")
    assert new
    assert await jobs.enqueue(b"picture", key="a key") == (id_, False)
    await replace(client, name)
    assert await jobs.delete(id_)


@pytest.mark.parametrize("key", [STREAM, DEAD])
def test_a_step_that_a_key_of_another_type_prevents_is_not_half_done(redis_url: str, key: str) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        lease = None
        if key == DEAD:
            await jobs.enqueue(b"picture")
            lease = await one(jobs)
        await replace(client, key)
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await (jobs.fail(lease, "no picture", poison=True) if lease else jobs.enqueue(b"picture"))
        await client.delete(key)
        assert await client.zcard(WAITING) == await client.xlen(STREAM) == (1 if lease else 0)
        if lease:
            await jobs.fail(lease, "no picture", poison=True)
            assert await reasons(jobs) == ["no picture"]

    play(redis_url, scenario)


@queued()
async def test_a_group_that_is_gone_is_made_anew_and_everything_not_done_is_lent_again(
    jobs: Jobs, client: Redis
) -> None:
    done, held, waits = [(await jobs.enqueue(b"picture")).id for _ in range(3)]
    lease, other = await jobs.lease("anna", 2)
    await jobs.finish([(lease, b"cat")])
    await client.xgroup_destroy(STREAM, GROUP)
    assert await jobs.extend([other]) == set()
    await jobs.fail(other, "too late")
    await jobs.give_back([other])
    await jobs.forget(0)
    assert (await jobs.queue()).workers == []
    assert [lease.id for lease in await jobs.lease("bob", 9)] == [held, waits]
    assert await state(jobs, done) == "done"


@pytest.mark.parametrize("leased", [False, True])
def test_jobs_of_a_stream_that_was_deleted_or_trimmed_come_back(redis_url: str, leased: bool) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        ids = [(await jobs.enqueue(b"picture")).id for _ in range(3)]
        lost = [await one(jobs)] if leased else []
        await (client.xtrim(STREAM, maxlen=0, approximate=False) if leased else client.delete(STREAM))
        await client.delete(JOB + ids[1])
        leases = await jobs.lease("bob", 9)
        assert [lease.id for lease in leases] == [ids[0], ids[2]]
        assert await jobs.finish([(lease, b"cat") for lease in (*lost, *leases)]) == {ids[0], ids[2]}
        await lapse(client)
        assert await jobs.lease("bob", 9) == []
        assert (await jobs.queue()).depth == await client.xlen(STREAM) == 0

    play(redis_url, scenario)


@queued()
async def test_a_record_that_cannot_be_read_is_no_job_to_who_asks(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    for name, value in (("attempts", "many"), ("v", "2")):
        await client.hset(JOB + id_, name, value)
        assert await jobs.job(id_) is None
    await client.set(JOB + id_, "no hash")
    assert await jobs.job(id_) is None
    assert await jobs.delete(id_)
    assert await jobs.lease("anna", 1) == []


@queued()
async def test_a_damaged_pace_costs_the_estimate_and_no_result(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"picture")).id
    lease = await one(jobs)
    for number in ("many", "0", "nan", "-1", "1e-300"):
        await client.hset(PACE, mapping={"jobs": number, "ms": "1", "finished_ms": "never"})
        assert await jobs.job(id_) == ("running", 1, 0, None, None, None)
    await client.hset(PACE, mapping={"jobs": "nan", "ms": "inf", "finished_ms": "1e999"})
    assert (await jobs.queue()).pace_ms is None
    assert await jobs.finish([(lease, b"cat")]) == {id_}
    assert await state(jobs, id_) == "done"
    assert (await jobs.queue()).pace_ms is not None, "it is mended by the next job that is done"


@queued(result_ttl_s=100)
async def test_a_result_and_its_key_are_kept_for_a_while_and_a_job_that_waits_for_ever(
    jobs: Jobs, client: Redis
) -> None:
    await jobs.enqueue(b"picture", key="a key")
    assert {await client.ttl(key) for key in await keys(client)} == {-1}
    await jobs.finish([(await one(jobs), b"cat")])
    kept = await keys(client) - SHARED
    assert len(kept) == 2
    assert all([0 < await client.ttl(key) <= 100 for key in kept])


@queued()
async def test_every_change_of_state_is_told_to_who_listens(jobs: Jobs, client: Redis) -> None:
    async with client.pubsub() as listener:
        await listener.subscribe(EVENTS)
        id_ = (await jobs.enqueue(b"picture")).id
        await jobs.give_back([await one(jobs)])
        await jobs.fail(await one(jobs), "why", poison=True)
        await jobs.requeue(id_)
        await jobs.finish([(await one(jobs), b"cat")])
        await jobs.delete(id_)
        told: list[str] = []
        while len(told) < 8:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=20)
            told += [message["data"].decode()] if message else []
    states = ["running", "queued", "running", "dead", "queued", "running", "done", "gone"]
    assert told == [f"{each} {id_}" for each in states]


@queued()
async def test_jobs_that_change_together_are_told_of_together_and_a_new_one_is_not(jobs: Jobs, client: Redis) -> None:
    async with client.pubsub() as listener:
        await listener.subscribe(EVENTS)
        ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(3)]
        await jobs.finish([(lease, b"cat") for lease in await jobs.lease("anna", 3)])
        told: list[str] = []
        while len(told) < 2:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=20)
            told += [message["data"].decode()] if message else []
    assert told == [" ".join([each, *ids]) for each in ("running", "done")]


@queued(max_dead=2)
async def test_of_too_many_dead_letters_the_oldest_goes_with_its_picture(jobs: Jobs, client: Redis) -> None:
    ids = [(await jobs.enqueue(b"%d" % number)).id for number in range(4)]
    for lease in await jobs.lease("anna", 9):
        await jobs.fail(lease, "poison", poison=True)
    assert [letter.id for letter in await jobs.dead(9)] == ids[2:]
    assert {key for key in await keys(client) if key.startswith(PICTURE)} == {PICTURE + id_ for id_ in ids[2:]}
    assert [await state(jobs, id_) for id_ in ids] == ["dead"] * 4, "who asks is told"
    assert [await jobs.requeue(id_) for id_ in ids] == [False, False, True, True]


@queued()
async def test_who_waits_for_a_job_gets_it_when_it_comes(jobs: Jobs, client: Redis) -> None:
    await jobs.enqueue(b"first")
    await one(jobs)
    waiting = asyncio.create_task(jobs.lease("bob", 1, block_ms=25_000))
    while not (await client.info("clients"))["blocked_clients"]:
        pass
    id_ = (await jobs.enqueue(b"second")).id
    async with asyncio.timeout(15):
        (lease,) = await waiting
    assert lease.id == id_


@queued()
async def test_a_job_that_came_while_nobody_waited_is_not_waited_for(jobs: Jobs, client: Redis) -> None:
    id_ = (await jobs.enqueue(b"before the first worker")).id
    async with asyncio.timeout(15):
        (lease,) = await jobs.lease("anna", 1, block_ms=25_000)
    assert lease.id == id_


@queued()
async def test_the_queue_says_what_each_worker_has_and_forgets_those_that_are_gone(jobs: Jobs, client: Redis) -> None:
    assert await jobs.queue() == (0, None, 0, [])
    await jobs.forget(0)
    for _ in range(3):
        await jobs.enqueue(b"picture")
    await jobs.finish([(await one(jobs, "gone"), b"cat")])
    await jobs.lease("busy", 2)
    depth, _, dead, workers = await jobs.queue()
    assert (depth, dead, sorted(workers)) == (2, 0, [("busy", 2), ("gone", 0)])
    await jobs.forget(3_600_000)
    assert len((await jobs.queue()).workers) == 2
    while len((await jobs.queue()).workers) == 2:
        await jobs.forget(1)
    assert (await jobs.queue()).workers == [("busy", 2)], "whoever holds something is not forgotten"


@queued()
async def test_a_redis_that_has_lost_everything_is_a_new_queue(jobs: Jobs, client: Redis) -> None:
    await jobs.enqueue(b"picture")
    lease = await one(jobs)
    await client.flushall()
    assert await jobs.extend([lease]) == set()
    await jobs.fail(lease, "no matter")
    await jobs.give_back([lease])
    assert await jobs.finish([(lease, b"cat")]) == set()
    await jobs.delete(lease.id)
    assert await jobs.lease("anna", 1) == []
    await jobs.enqueue(b"picture")
    assert (await one(jobs)).attempt == 1


def test_a_restart_of_redis_in_the_middle_loses_no_job_no_lease_and_no_attempt(own_redis: RedisServer) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        ids = [(await jobs.enqueue(b"%d" % number, key=str(number))).id for number in range(6)]
        first, second, third, fourth = await jobs.lease("anna", 4)
        await jobs.finish([(first, b"cat")])
        await jobs.fail(second, "poison", poison=True)
        await jobs.give_back([third])
        await asyncio.to_thread(own_redis.kill)
        with pytest.raises(NotReady):
            await jobs.job(ids[0])
        await asyncio.to_thread(own_redis.start)
        assert [await state(jobs, id_) for id_ in ids] == ["done", "dead", "queued", "running", "queued", "queued"]
        assert await jobs.extend([third, fourth]) == {fourth.id}
        assert await jobs.enqueue(b"5", key="5") == (ids[5], False)
        await lapse(client)
        leases = await jobs.lease("bob", 9)
        assert [(lease.id, lease.attempt) for lease in leases] == [(ids[2], 1), (ids[3], 2), (ids[4], 1), (ids[5], 1)]
        assert await jobs.finish([(lease, b"cat") for lease in leases]) == {*ids[2:]}
        assert (await jobs.queue())[::2] == (0, 1)

    play(own_redis.url(), scenario)


def test_a_redis_that_hangs_is_a_503_and_what_was_asked_may_have_been_done(own_redis: RedisServer) -> None:
    async def run() -> None:
        async with connect(own_redis.url(), timeout_s=0.5) as client:
            jobs = Jobs(client, POLICY)
            await jobs.queue()
            os.kill(own_redis.pid, signal.SIGSTOP)
            try:
                with pytest.raises(NotReady):
                    await jobs.enqueue(b"picture", key="a key")
            finally:
                os.kill(own_redis.pid, signal.SIGCONT)
        async with connect(own_redis.url(), timeout_s=30) as client:
            jobs = Jobs(client, POLICY)
            await jobs.enqueue(b"picture", key="a key")
            assert (await jobs.queue()).depth == 1, "the key makes it the same job"

    asyncio.run(run())


@queued()
async def test_a_full_redis_takes_no_job_and_lets_workers_empty_it(jobs: Jobs, client: Redis) -> None:
    for number in range(5):
        await jobs.enqueue(b"%d" % number)
    before = await keys(client)
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(NotReady):
            await jobs.enqueue(b"picture", key="a key")
        assert await keys(client) == before
        leases = await jobs.lease("anna", 5)
        await jobs.extend(leases)
        await jobs.finish([(leases[0], b"cat")])
        await jobs.fail(leases[1], "why")
        await jobs.fail(leases[2], "why", poison=True)
        await jobs.give_back([leases[3]])
        await jobs.delete(leases[4].id)
        await jobs.requeue(leases[2].id)
    finally:
        await client.config_set("maxmemory", 0)
    states = [await state(jobs, lease.id) for lease in leases]
    assert states == ["done", "queued", "queued", "queued", "gone"]


class Game:
    """Callers, workers that lose track of time, and an operator, by chance; what must hold is checked at the end."""

    def __init__(self, jobs: Jobs, client: Redis, seed: int) -> None:
        self.jobs = jobs
        self.client = client
        self.chance = random.Random(seed)  # noqa: S311
        self.ids: set[str] = set()
        self.stored: list[str] = []
        self.held: list[Lease] = []

    async def move(self) -> None:
        outside = [
            self.enqueue,
            self.enqueue,
            self.lease,
            self.lease,
            self.lease,
            self.delete,
            self.requeue,
            self.lapse,
        ]
        inside = [self.finish, self.finish, self.fail, self.give_back, self.extend]
        await self.chance.choice(outside + inside if self.held else outside)()

    def any_lease(self) -> Lease:
        return self.chance.choice(self.held)  # perhaps one that is over, or another's by now

    async def enqueue(self) -> None:
        self.ids.add((await self.jobs.enqueue(self.chance.randbytes(9))).id)

    async def lease(self) -> None:
        self.held += await self.jobs.lease(self.chance.choice("abc"), self.chance.randint(1, 4))

    async def delete(self) -> None:
        if self.ids and self.chance.random() < 0.3:
            gone = self.chance.choice(sorted(self.ids))
            await self.jobs.delete(gone)
            self.ids.discard(gone)

    async def requeue(self) -> None:
        for letter in await self.jobs.dead(3):
            await self.jobs.requeue(letter.id)

    async def lapse(self) -> None:
        await lapse(self.client)  # and who holds something goes on as if nothing were

    async def finish(self) -> None:
        lease = self.any_lease()
        self.stored += await self.jobs.finish([(lease, lease.picture)])

    async def fail(self) -> None:
        await self.jobs.fail(self.any_lease(), "why", poison=self.chance.random() < 0.3)

    async def give_back(self) -> None:
        await self.jobs.give_back([self.any_lease()])

    async def extend(self) -> None:
        await self.jobs.extend([self.any_lease()])

    async def end(self) -> None:
        while (await self.jobs.queue()).depth:
            await lapse(self.client)
            self.stored += await self.jobs.finish([(lease, b"") for lease in await self.jobs.lease("last", 50)])


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_whatever_order_every_job_ends_once(redis_url: str, seed: int) -> None:
    async def scenario(jobs: Jobs, client: Redis) -> None:
        game = Game(jobs, client, seed)
        for _ in range(300):
            await game.move()
        await game.end()
        assert len(game.stored) == len(set(game.stored)), "stored twice"
        dead = {letter.id for letter in await jobs.dead(1000)}
        assert game.ids == (set(game.stored) & game.ids) | dead, "lost"
        assert not set(game.stored) & dead
        assert await client.xlen(STREAM) == (await client.xpending(STREAM, GROUP))["pending"] == 0
        assert {key for key in await keys(client) if key.startswith(PICTURE)} == {PICTURE + id_ for id_ in dead}

    play(redis_url, scenario, max_queue=1000)
