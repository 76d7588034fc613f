"""make run of a pattern with one-shot steps, a database and secrets: what is started, kept, refused and left."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlsys.processes import end_marked, marked
from mlsys.testing import eventually

from .house import STOPS, House, Terminal, make, nothing_left_of

pytestmark = pytest.mark.e2e
SETTINGS = "class Settings:\n    database_url: str\n"
CLIENT = """
import os, signal, sys, time
import psycopg2

def ask(statement):
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None

def drain(*_):
    time.sleep(0.3)
    print("drained with", ask("SELECT count(*) FROM runs")[0][0], flush=True)
    sys.exit(0)

if sys.argv[1] == "migrate":
    ask("CREATE TABLE IF NOT EXISTS runs (at timestamptz)")
    ask("INSERT INTO runs VALUES (now())")
else:
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    print("begun", ask("SELECT count(*) FROM runs")[0][0], os.environ["DATABASE_URL"], flush=True)
    time.sleep(60)
"""
PROCFILE = "release: python HERE_PATH/client.py migrate\njob: SOME=thing python HERE_PATH/client.py HERE\n"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for directory in (tmp_path / "chapter4_serving_patterns").iterdir():
        end_marked(str(directory), 0)


def with_database(house: House, name: str = "web_single_pattern") -> Path:
    procfile = PROCFILE.replace("HERE_PATH", f"chapter4_serving_patterns/{name}")
    return house.pattern(name, procfile, {"settings.py": SETTINGS, "client.py": CLIENT})


def begun(terminal: Terminal) -> tuple[int, str]:
    """Wait until the job runs; how many runs the database has seen, and its URL."""
    found = eventually(lambda: re.search(r"begun (\d+) (\S+)", terminal.read()), deadline_s=20)
    assert found
    return int(found[1]), found[2]


@pytest.mark.parametrize("way", ["Ctrl-C", "closed terminal", "kill -9 of the launcher"])
def test_the_database_is_gone_with_the_pattern_and_its_data_are_there_for_the_next_run(house: House, way: str) -> None:
    directory = with_database(house)
    terminal = Terminal(["make", "run"], house.root)
    assert begun(terminal)[0] == 1
    servers = [p for p in marked(str(directory)) if p.name() == "postgres"]
    family = [*servers, *servers[0].children(recursive=True)]
    assert len(servers) == 1
    assert len(family) > 3
    STOPS[way](terminal, directory)
    terminal.ended()
    nothing_left_of(directory)
    eventually(lambda: not any(process.is_running() for process in family), deadline_s=5)
    again = Terminal(["make", "run"], house.root)
    assert begun(again)[0] == 2
    again.press_ctrl_c()
    again.ended()
    nothing_left_of(directory)


def test_what_drains_still_has_its_database(house: House) -> None:
    directory = with_database(house)
    terminal = Terminal(["make", "run"], house.root)
    begun(terminal)
    terminal.press_ctrl_c()
    assert terminal.ended() in (0, -signal.SIGINT)
    assert "drained with 1" in terminal.shown
    assert "Traceback" not in terminal.shown
    nothing_left_of(directory)


def test_make_stop_ends_the_database_too_also_what_a_crash_has_left(house: House) -> None:
    directory = with_database(house)
    terminal = Terminal(["make", "run"], house.root)
    begun(terminal)
    assert make(house, "stop").stdout.endswith("of which 0 had to be killed.\n")
    terminal.ended()
    nothing_left_of(directory)


def test_a_database_that_is_named_is_used_and_none_is_started(house: House) -> None:
    directory = with_database(house)
    terminal = Terminal(["make", "run"], house.root, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert terminal.ended() == 2
    assert "Cannot start: release failed: " in terminal.shown
    assert "Connection refused" in terminal.shown
    assert not (directory / ".run" / "postgres").exists()
    nothing_left_of(directory)


def test_a_second_run_on_the_same_data_is_refused_and_the_first_goes_on(house: House) -> None:
    directory = with_database(house)
    first = Terminal(["make", "run"], house.root)
    begun(first)
    second = Terminal(["make", "run"], house.root)
    second.ended()
    assert f"Cannot start: another PostgreSQL uses the data in {directory}/.run/postgres: stop it." in second.shown
    assert len([p for p in marked(str(directory)) if p.name() == "postgres"]) == 1
    first.press_ctrl_c()
    first.ended()
    nothing_left_of(directory)


def test_a_demo_has_a_database_of_its_own_that_is_new_and_goes_with_it(house: House) -> None:
    directory = house.service()
    app = (directory / "app.py").read_text() + "\nimport os\nassert os.environ['RUN_PATH'] in os.environ['KEPT']\n"
    (directory / "app.py").write_text(app)
    line = (directory / "Procfile").read_text().replace("web: ", "web: KEPT=${KEPT:-$RUN_PATH/kept} ")
    (directory / "Procfile").write_text(f"release: sh -c 'echo $DATABASE_URL >> {house.root}/urls'\n{line}")
    (directory / "settings.py").write_text(SETTINGS)
    (directory / "demo.py").write_text("print('shown')\n")
    left = directory / ".run" / "demo-left"
    left.mkdir(parents=True)
    for _ in range(2):
        done = make(house, "demo", "WORKERS=1")
        assert (done.returncode, done.stdout) == (0, "shown\n"), done.stderr
    first, second = (house.root / "urls").read_text().splitlines()
    assert first != second
    assert [path.name for path in (directory / ".run").iterdir()] == ["demo.log"]
    nothing_left_of(directory)


def test_clean_removes_the_data(house: House) -> None:
    directory = with_database(house)
    terminal = Terminal(["make", "run"], house.root)
    begun(terminal)
    terminal.press_ctrl_c()
    terminal.ended()
    nothing_left_of(directory)
    assert (directory / ".run" / "postgres").exists()
    assert make(house, "clean").returncode == 0
    assert not (directory / ".run").exists()


def test_steps_are_run_in_order_to_their_end_before_anything_is_started(house: House) -> None:
    steps = "release: sh -c 'sleep 0.2; echo one'\nrelease_two: sh -c 'echo two; echo careful >&2'\n"
    directory = house.pattern("web_single_pattern", f"job: sh -c 'echo begun; exec sleep 60'\n{steps}")
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows("begun")
    assert re.findall(r"one|two|careful|begun", terminal.shown) == ["one", "two", "careful", "begun"]
    terminal.press_ctrl_c()
    terminal.ended()
    nothing_left_of(directory)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("sh -c 'exit 3'", "release failed: it ended with code 3."),
        ("sh -c 'echo Cannot start: no such table. >&2; exit 1'", "release failed: no such table."),
    ],
)
def test_a_step_that_fails_ends_the_run_with_one_sentence(house: House, step: str, sentence: str) -> None:
    directory = house.pattern("web_single_pattern", f"release: {step}\njob: touch {house.root}/begun\n")
    done = make(house, "run")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Cannot start: {sentence}\n")
    assert not (house.root / "begun").exists()
    nothing_left_of(directory)


def test_a_step_is_ended_by_ctrl_c_and_by_the_end_of_the_launcher(house: House) -> None:
    directory = house.pattern("web_single_pattern", "release: sh -c 'echo begun; exec sleep 60'\njob: sleep 60\n")
    for stop in ("Ctrl-C", "kill -9 of the launcher"):
        terminal = Terminal(["make", "run"], house.root)
        terminal.shows("begun")
        STOPS[stop](terminal, directory)
        terminal.ended()
        nothing_left_of(directory)
        assert "Traceback" not in terminal.shown


def test_secrets_are_made_once_for_their_owner_alone_and_given_to_what_runs(house: House) -> None:
    directory = house.pattern("web_single_pattern", "job: sh -c 'echo the token is $TOKEN and $OTHER; sleep 60'\n")
    (directory / "Makefile").write_text("SECRETS := TOKEN OTHER\ninclude ../../mk/pattern.mk\n")
    seen: list[tuple[str, ...]] = []
    for given in ({}, {"OTHER": "mine"}):
        terminal = Terminal(["make", "run"], house.root, **given)
        terminal.shows("the token is")
        seen += re.findall(r"the token is (\S+) and (\S+)", terminal.shown)
        terminal.press_ctrl_c()
        terminal.ended()
    file = directory / ".run" / "secrets.env"
    assert re.fullmatch(r"TOKEN=[0-9a-f]{32}\nOTHER=[0-9a-f]{32}\n", file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert seen[0] == tuple(line.partition("=")[2] for line in file.read_text().split())
    assert seen[1] == (seen[0][0], "mine")


def test_compose_and_kubernetes_are_given_the_secrets(house: House) -> None:
    directory = house.pattern("web_single_pattern", "job: sleep 60\n")
    (directory / "Makefile").write_text("SECRETS := TOKEN\ninclude ../../mk/pattern.mk\n")
    tool = house.root / "tool"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {house.root}/told\n')
    tool.chmod(0o755)
    file = directory / ".run" / "secrets.env"
    for verb in ("up", "down", "build", "deploy"):
        assert make(house, verb, f"COMPOSE={tool}", f"KUBECTL={tool}").returncode == 0
    told = (house.root / "told").read_text().splitlines()
    assert [line.split()[:2] for line in told[:3]] == [["--env-file", str(file)]] * 3
    assert told[3:] == [
        f"apply -f {directory}/manifests/00-namespace.yaml",
        "--namespace web-single-pattern get secret web-single-pattern --ignore-not-found --output name",
        f"--namespace web-single-pattern create secret generic web-single-pattern --from-env-file {file}",
        f"apply -f {directory}/manifests/",
    ]
    assert file.exists()
