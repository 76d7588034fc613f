"""The lesson, on a real PostgreSQL: who gets which chunk, and what is left of one that was not finished."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812  # it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812

from .. import runs
from ..plan import Plan, Retry
from ..runs import Chunk, Counts, Run
from .conftest import Ask

Connect = Callable[[], Connection]
VERSION = 7


@pytest.fixture(autouse=True)
def _items(ask: Ask) -> None:
    ask(
        "INSERT INTO versions (id, model_sha256, code_sha256, name, labels) OVERRIDING SYSTEM VALUE "
        "VALUES (7, repeat('a', 64), repeat('b', 64), 'm', '{}'), (8, repeat('c', 64), repeat('b', 64), 'm', '{}')"
    )
    ask("INSERT INTO items (values) SELECT '[1, 2, 3, 4]' FROM generate_series(1, 25)")


def plan(retry: Retry = "none", name: str = "", version: int = VERSION) -> Plan:
    return Plan(version, retry, name, chunk_rows=10)


def predict(cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
    """Predicts every item of the chunk; ids that 13 divides are bad."""
    within = (run.version, *chunk)
    cursor.execute(
        "INSERT INTO quarantine SELECT %s, id, 'bad' FROM items WHERE id BETWEEN %s AND %s AND id %% 13 = 0", within
    )
    bad = cursor.rowcount
    cursor.execute(
        "INSERT INTO predictions SELECT %s, id, 0, '{1}' FROM items WHERE id BETWEEN %s AND %s AND id %% 13 > 0", within
    )
    return Counts(cursor.rowcount, bad)


def begun(connection: Connection, plan: Plan) -> Run:
    run = runs.begin(connection, plan)
    assert run
    return run


def work_off(connection: Connection, run: Run) -> list[Counts]:
    found = []
    while counts := runs.next_chunk(connection, run, predict):
        found.append(counts)
    assert runs.finish(connection, run)
    return found


def test_a_run_is_cut_into_chunks_of_so_many_rows_and_each_is_done_once(connection: Connection, ask: Ask) -> None:
    run = begun(connection, plan())
    assert run.rows == 25
    assert ask("SELECT first_id, last_id FROM chunks ORDER BY 1") == [(1, 10), (11, 20), (21, 25)]
    assert work_off(connection, run) == [(10, 0), (9, 1), (5, 0)]
    assert runs.next_chunk(connection, run, predict) is None
    assert ask("SELECT count(*) FROM predictions") == [(24,)]


def test_a_finished_pass_is_not_begun_again(connection: Connection, ask: Ask) -> None:
    work_off(connection, begun(connection, plan()))
    assert runs.begin(connection, plan()) is None
    assert ask("SELECT count(*) FROM runs") == [(1,)]


def test_new_items_are_a_new_run_over_them_alone(connection: Connection, ask: Ask) -> None:
    work_off(connection, begun(connection, plan()))
    ask("INSERT INTO items (values) VALUES ('[1, 2, 3, 4]')")
    run = begun(connection, plan())
    assert run.rows == 1
    assert work_off(connection, run) == [(0, 1)]  # 26


def test_an_item_that_becomes_visible_late_behind_a_finished_run_is_not_lost(
    connection: Connection, connect: Connect, ask: Ask
) -> None:
    late = connect()
    late.cursor().execute("INSERT INTO items (values) VALUES ('[1, 2, 3, 4]')")  # 26, and not committed
    ask("INSERT INTO items (values) VALUES ('[1, 2, 3, 4]')")
    run = begun(connection, plan())
    assert run.rows == 26
    work_off(connection, run)
    assert runs.begin(connection, plan()) is None
    late.commit()
    run = begun(connection, plan())
    assert (run.rows, work_off(connection, run)) == (1, [(0, 1)])


def test_other_items_that_are_as_many_with_the_same_ends_and_sum_are_other_items(
    connection: Connection, ask: Ask
) -> None:
    ask("UPDATE items SET id = id * 1000")
    work_off(connection, begun(connection, plan()))
    ask("DELETE FROM items WHERE id IN (5000, 6000)")
    ask("INSERT INTO items (id, values) VALUES (5001, '[1, 2, 3, 4]'), (5999, '[1, 2, 3, 4]')")
    assert begun(connection, plan()).rows == 2


def test_a_chunk_that_one_process_has_is_passed_over_by_the_others(connection: Connection, connect: Connect) -> None:
    run, other = begun(connection, plan()), connect()

    def meanwhile(cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
        assert chunk == (1, 10)
        assert [runs.next_chunk(other, run, predict) for _ in range(3)] == [(9, 1), (5, 0), None]
        assert not runs.finish(other, run), "the first chunk is not done yet"
        return predict(cursor, run, chunk)

    assert runs.next_chunk(connection, run, meanwhile) == (10, 0)
    assert runs.finish(other, run)


def test_what_fails_within_a_chunk_leaves_nothing_of_it_and_the_chunk_to_others(
    connection: Connection, connect: Connect, ask: Ask
) -> None:
    run = begun(connection, plan())

    def fails(cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
        predict(cursor, run, chunk)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        runs.next_chunk(connection, run, fails)
    assert ask("SELECT count(*) FROM predictions") == [(0,)]
    assert work_off(connect(), run) == [(10, 0), (9, 1), (5, 0)]


def test_a_process_whose_connection_breaks_leaves_its_chunk_to_others(
    connection: Connection, connect: Connect, ask: Ask
) -> None:
    run, dying = begun(connection, plan()), connect()

    def dies(cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
        predict(cursor, run, chunk)
        ask("SELECT pg_terminate_backend(%s)", dying.info.backend_pid)
        return predict(cursor, run, chunk)

    with pytest.raises(Exception, match=r"terminat|closed"):
        runs.next_chunk(dying, run, dies)
    assert sum(counts.predicted for counts in work_off(connection, run)) == 24


def test_processes_that_start_together_make_one_run(connect: Connect, ask: Ask) -> None:
    connections = [connect() for _ in range(4)]
    with ThreadPoolExecutor(4) as together:
        found = list(together.map(lambda connection: runs.begin(connection, plan()), connections))
    assert len(set(found)) == 1
    assert ask("SELECT count(*) FROM chunks") == [(3,)]


def test_two_versions_have_runs_of_their_own(connection: Connection, connect: Connect, ask: Ask) -> None:
    old, new = begun(connection, plan()), begun(connection, plan(version=8))
    assert old.id != new.id
    other = connect()
    for _ in range(3):
        runs.next_chunk(connection, old, predict)
        runs.next_chunk(other, new, predict)
    assert runs.finish(connection, old)
    assert runs.finish(other, new)
    assert ask("SELECT version_id, count(*) FROM predictions GROUP BY 1 ORDER BY 1") == [(7, 24), (8, 24)]


def test_a_run_that_was_left_is_taken_up_by_the_next_job_whatever_that_was_to_do(connection: Connection) -> None:
    left = begun(connection, plan())
    runs.next_chunk(connection, left, predict)
    assert begun(connection, plan("all")) == left


def test_a_run_over_nothing_is_finished_at_once(connection: Connection, ask: Ask) -> None:
    ask("DELETE FROM items")
    run = begun(connection, plan())
    assert (run.rows, work_off(connection, run)) == (0, [])
    assert runs.begin(connection, plan()) is None


@pytest.mark.parametrize(("retry", "rows"), [("none", 0), ("failed", 1), ("all", 25)])
def test_what_is_done_again_is_what_was_asked_for(connection: Connection, ask: Ask, retry: Retry, rows: int) -> None:
    work_off(connection, begun(connection, plan()))
    assert begun(connection, plan(retry, name="again")).rows == rows


def test_what_is_done_again_under_a_name_is_done_once(connection: Connection, ask: Ask) -> None:
    run = begun(connection, plan("all", name="monday"))
    while runs.next_chunk(connection, run, lambda *_: Counts(0, 0)):
        pass
    assert runs.finish(connection, run)
    ask("INSERT INTO items (values) VALUES ('[1, 2, 3, 4]')")
    assert runs.begin(connection, plan("all", name="monday")) is None, "not even over what came later"
    assert runs.begin(connection, plan("all", name="tuesday"))


def too_slow_for(most: int) -> runs.Work:
    def work(cursor: Cursor, run: Run, chunk: Chunk) -> Counts:
        if chunk.last - chunk.first >= most:
            cursor.execute("SET LOCAL statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(10)")
        return predict(cursor, run, chunk)

    return work


def test_a_chunk_that_takes_too_long_is_halved_until_it_does_not(connection: Connection, ask: Ask) -> None:
    run = begun(connection, plan())
    found = []
    while counts := runs.next_chunk(connection, run, too_slow_for(3)):
        found.append(counts)
    assert runs.finish(connection, run)
    assert sum(counts.predicted for counts in found) == 24
    assert ask("SELECT max(last_id - first_id) < 3, sum(predicted + quarantined) FROM chunks") == [(True, 25)]


def test_a_row_that_alone_takes_too_long_is_named(connection: Connection) -> None:
    run = begun(connection, plan())
    with pytest.raises(runs.TooSlow, match="Item 1 could not be done: canceling statement due to statement timeout"):
        for _ in range(9):
            runs.next_chunk(connection, run, too_slow_for(0))


def test_ids_with_gaps_make_chunks_of_so_many_rows(connection: Connection, ask: Ask) -> None:
    ask("UPDATE items SET id = id * 1000000000000 WHERE id > 5")
    run = begun(connection, plan())
    assert run.rows == 25
    assert ask("SELECT count(*) FROM chunks") == [(3,)]


def test_ids_at_the_end_of_their_range_can_be_done(connection: Connection, ask: Ask) -> None:
    ask("INSERT INTO items (id, values) VALUES (9223372036854775807, '[]'), (-9223372036854775808, '[]')")
    run = begun(connection, plan())
    assert run.rows == 27
    assert len(work_off(connection, run)) == 3
