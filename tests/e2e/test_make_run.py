"""make run, stop and demo with real processes: whatever happens, nothing is left, and what is wrong is one sentence."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.processes import MARK, end_marked, marked
from mlsys.testing import eventually

from .house import READY, STOPS, House, Terminal, launcher_of, make, nothing_left_of, workers_of

pytestmark = pytest.mark.e2e
IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for directory in (tmp_path / "chapter4_serving_patterns").iterdir():
        end_marked(str(directory), 0)


def launch(directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the launcher on a pattern to its end."""
    command = [sys.executable, "-m", "mlsys.run", "run", str(directory)]
    given = os.environ | {"PORT": str(free_port()), "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("way", STOPS)
def test_nothing_is_left_however_it_is_stopped(house: House, way: str) -> None:
    directory = house.service()
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows(READY)
    eventually(lambda: terminal.read().count("Application startup complete") == 2, deadline_s=15)
    assert len(marked(str(directory))) >= 5  # launcher, reader, uvicorn's parent, two workers
    STOPS[way](terminal, directory)
    terminal.ended()
    nothing_left_of(directory)
    assert "Traceback" not in terminal.shown
    assert make(house, "stop").stdout == "Nothing of web_single_pattern is running.\n"


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM to make", "SIGTERM to the launcher", "SIGHUP to the group"])
def test_a_wanted_end_is_quiet(house: House, way: str) -> None:
    directory = house.pattern("web_single_pattern", "job: sh -c 'echo begun; exec sleep 60'\n")
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows("begun")
    STOPS[way](terminal, directory)
    assert terminal.ended() in (0, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
    assert "***" not in terminal.shown, "make reports an error where there was none"
    assert "Traceback" not in terminal.shown


def test_under_nohup_a_closed_terminal_is_ignored(house: House) -> None:
    directory = house.pattern("some_pattern", "job: sh -c 'echo begun; exec sleep 60'\n")
    terminal = Terminal(["nohup", sys.executable, "-m", "mlsys.run", "run", str(directory)], house.root)
    output = house.root / "nohup.out"
    eventually(lambda: output.exists() and "begun" in output.read_text(), deadline_s=10)
    ignored = re.search(r"SigIgn:\s*(\w+)", Path(f"/proc/{terminal.pid}/status").read_text())
    assert ignored
    assert int(ignored[1], 16) & 1 << signal.SIGHUP - 1
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.ended() == 0
    nothing_left_of(directory)


def test_a_process_that_does_not_stop_is_killed_after_the_grace(house: House) -> None:
    directory = house.pattern("web_single_pattern", "job: python deaf.py\n")
    (house.root / "deaf.py").write_text(IGNORES_SIGTERM)
    terminal = Terminal(["make", "run"], house.root, STOP_GRACE_S="0.3")
    terminal.shows("deaf")
    terminal.press_ctrl_c()
    terminal.ended()
    assert "job did not stop within 0.3 s and was killed." in terminal.shown
    nothing_left_of(directory)


def test_a_worker_that_hangs_is_killed_by_its_service_and_the_launcher_need_not(house: House) -> None:
    directory = house.service()
    terminal = Terminal(["make", "run"], house.root, DRAIN_TIMEOUT_S="1", REQUEST_TIMEOUT_S="1")
    terminal.shows(READY)
    eventually(lambda: len(workers_of(directory)) == 2, deadline_s=10)
    workers_of(directory)[0].suspend()
    terminal.press_ctrl_c()
    assert terminal.ended() in (0, -signal.SIGINT)
    assert "was killed" not in terminal.shown
    nothing_left_of(directory)


@pytest.mark.parametrize("next_command", [["make", "stop"], ["make", "run", "READY_TIMEOUT_S=0.01"]])
def test_what_a_killed_launcher_left_is_swept_by_the_next_command(house: House, next_command: list[str]) -> None:
    directory = house.service()
    left = directory / ".run" / "metrics-left"
    left.mkdir(parents=True)
    Terminal(next_command, house.root).ended()
    assert not left.exists()


def test_a_run_leaves_the_metrics_of_one_that_runs(house: House) -> None:
    directory = house.service()
    first = Terminal(["make", "run"], house.root)
    first.shows(READY)
    before = list((directory / ".run").glob("metrics-*"))
    assert len(before) == 1
    second = Terminal(["make", "run"], house.root)
    second.shows(READY)
    second.press_ctrl_c()
    second.ended()
    assert list((directory / ".run").glob("metrics-*")) == before


def test_clean_is_refused_while_the_pattern_runs_and_removes_its_files_when_it_does_not(house: House) -> None:
    directory = house.service()
    house.pattern("another_pattern", "job: sleep 60\n")
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows(READY)
    for place in (house.root, directory):
        refused = subprocess.run(["make", "clean"], cwd=place, capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            "web_single_pattern is running and needs its files: end it first, by `make stop"
        )
        assert (directory / ".run").exists()
    terminal.press_ctrl_c()
    terminal.ended()
    nothing_left_of(directory)
    assert make(house, "clean").returncode == 0
    assert not (directory / ".run").exists()


def test_clean_needs_no_environment(house: House) -> None:
    directory = house.service()
    (directory / ".run").mkdir()
    (house.root / ".venv" / "installed.json").unlink()
    assert make(house, "clean").returncode == 0
    assert not (directory / ".run").exists()


@pytest.mark.parametrize("verb", ["run", "demo"])
def test_a_folder_that_cannot_be_written_is_refused_with_one_sentence(house: House, verb: str) -> None:
    directory = house.service()
    (directory / ".run").touch()
    done = make(house, verb)
    assert done.stderr.startswith(f"Cannot start: {directory}/.run cannot be written (File exists): run a copy of")
    assert "Traceback" not in done.stderr


def test_a_second_ctrl_c_does_not_wait_for_the_grace(house: House) -> None:
    directory = house.pattern("web_single_pattern", "job: python deaf.py\n")
    (house.root / "deaf.py").write_text(IGNORES_SIGTERM + "\n")
    terminal = Terminal([sys.executable, "-m", "mlsys.run", "run", str(directory)], house.root, STOP_GRACE_S="50")
    terminal.shows("deaf")

    def pressed_until_it_ends() -> bool:
        if os.waitpid(terminal.pid, os.WNOHANG)[0]:
            return True
        terminal.press_ctrl_c()
        return False

    eventually(pressed_until_it_ends, deadline_s=10, every_s=0.2)
    assert re.search(r"job did not stop within [\d.]+ s and was killed\.", terminal.read())
    nothing_left_of(directory)


def test_make_stop_ends_what_hangs_and_what_a_crash_has_left(house: House) -> None:
    (house.root / "deaf.py").write_text(IGNORES_SIGTERM)
    # A process of its own session that outlives its parent: what the kernel's parent-death signal does not reach.
    directory = house.pattern("web_single_pattern", "job: sh -c 'setsid python deaf.py & exec sleep 60'\n")
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows("deaf")
    launcher_of(directory).kill()
    terminal.ended()
    eventually(lambda: len(marked(str(directory))) == 1, deadline_s=5)
    done = make(house, "stop", "STOP_GRACE_S=0.1")
    assert done.stdout == "Stopped web_single_pattern: 1 processes, of which 1 had to be killed.\n"
    nothing_left_of(directory)


def test_ctrl_c_also_ends_what_left_the_process_group(house: House) -> None:
    directory = house.pattern("web_single_pattern", "job: sh -c 'setsid sleep 60 & echo begun; exec sleep 60'\n")
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows("begun")
    terminal.press_ctrl_c()
    terminal.ended()
    nothing_left_of(directory)


def test_make_stop_stops_a_running_pattern_and_its_make_run_ends_well(house: House) -> None:
    house.service()
    terminal = Terminal(["make", "run"], house.root)
    terminal.shows(READY)
    done = make(house, "stop")
    assert done.returncode == 0
    assert done.stdout.startswith("Stopped web_single_pattern: ")
    assert done.stdout.endswith("of which 0 had to be killed.\n")
    assert terminal.ended() == 0


def test_a_process_that_ends_by_itself_ends_all_and_is_named(house: House) -> None:
    done = launch(house.pattern("some_pattern", "good: sleep 60\nbad: sh -c 'exit 7'\n"))
    assert done.returncode == 1
    assert done.stderr == "bad ended by itself with code 7; the rest was stopped.\n"


def test_a_process_that_is_killed_is_named_with_the_signal(house: House) -> None:
    done = launch(house.pattern("some_pattern", "bad: sh -c 'kill -9 $$'\n"))
    assert done.returncode == 1
    assert done.stderr == "bad ended by itself by signal 9; the rest was stopped.\n"


def test_a_pattern_that_does_not_get_ready_is_stopped(house: House) -> None:
    done = launch(house.service("some_pattern", status=503), READY_TIMEOUT_S="0.1", WORKERS="1")
    assert done.returncode == 1
    assert done.stderr.startswith("The pattern was not ready within 0.1 s: ")


def test_a_busy_port_is_refused_with_one_sentence(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = launch(house.service("some_pattern"), PORT=str(port))
    name = psutil.Process().name()
    assert done.returncode == 1
    assert done.stderr == (
        f"Cannot start: port {port} is in use by {name} (process {os.getpid()}): "
        f"end that, or choose another port: PORT={port + 1} make run.\n"
    )


def test_a_second_run_on_the_same_port_is_told_of_the_first_and_on_another_port_runs_beside_it(house: House) -> None:
    directory = house.service()
    first = Terminal(["make", "run"], house.root)
    first.shows(READY)
    refused = launch(directory, PORT=str(first.port))
    assert refused.returncode == 1
    assert f"port {first.port} is in use by this pattern already: `make stop` ends it, or" in refused.stderr
    second = Terminal(["make", "run"], house.root)
    second.shows(READY)
    second.press_ctrl_c()
    second.ended()
    with socket.create_connection(("127.0.0.1", first.port), timeout=5):
        assert len(marked(str(directory))) >= 4, "the end of the second has taken processes of the first"


def test_an_address_that_is_not_this_machines_is_refused(house: House) -> None:
    done = launch(house.service("some_pattern"), HOST="192.0.2.1", PORT="8000")
    assert done.returncode == 1
    assert done.stderr == (
        "Cannot start: HOST=192.0.2.1 PORT=8000 cannot be listened on (Cannot assign requested address): "
        "set HOST=127.0.0.1 (some shells and conda export another), and a PORT of 1024 or more.\n"
    )


@pytest.mark.parametrize(
    ("name", "value"), [("WORKERS", "x"), ("PORT", "0"), ("PORT", "70000"), ("STOP_GRACE_S", "-1")]
)
def test_a_wrong_setting_is_refused_with_one_sentence(house: House, name: str, value: str) -> None:
    done = launch(house.service("some_pattern"), **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot start: {name}='{value}' is not valid: ")
    assert done.stderr.count("\n") == 1


def test_a_missing_model_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    missing = tmp_path / "model.onnx"
    done = launch(ROOT / "chapter4_serving_patterns" / "web_single_pattern", MODEL_PATH=str(missing))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Cannot start: Model {missing} cannot be used: ")
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_procfile_is_no_pattern(tmp_path: Path) -> None:
    done = launch(tmp_path)
    assert (done.returncode, done.stderr) == (1, f"Cannot start: {tmp_path} is no pattern: it has no Procfile.\n")


def test_a_procfile_line_of_two_commands_is_refused_as_only_one_would_be_ended(house: House) -> None:
    directory = house.pattern("some_pattern", "good: sh -c 'exit 0; a'\njob: sleep 60 && echo done\n")
    done = launch(directory)
    assert done.returncode == 1
    assert done.stderr == f"Cannot start: {directory}/Procfile: job is not one command, it has '&&'.\n"


def test_a_wrong_pattern_name_lists_the_right_ones(house: House) -> None:
    house.service()
    house.service("another_pattern")
    done = make(house, "run", "PATTERN=web")
    assert done.returncode == 2
    assert 'There is no pattern "web"; there are: another_pattern web_single_pattern.' in done.stderr


def test_a_wrong_pattern_name_stops_only_what_needs_a_pattern(house: House) -> None:
    house.service()
    done = make(house, "--dry-run", "doctor", "models", "help", "clean", "PATTERN=web")
    assert (done.returncode, done.stderr) == (0, "")


def test_help_tells_each_verb_once(house: House) -> None:
    house.service()
    verbs = [line.split()[0] for line in make(house, "help").stdout.splitlines()]
    assert {"run", "stop", "test", "clean", "doctor"} <= set(verbs)
    assert len(verbs) == len(set(verbs))


def test_any_pattern_runs_from_the_root_by_its_name_and_from_its_own_folder(house: House) -> None:
    house.service()
    directory = house.pattern("another_pattern", "job: sh -c 'echo begun here; sleep 60'\n")
    for command, folder in ((["make", "run", "PATTERN=another_pattern"], house.root), (["make", "run"], directory)):
        terminal = Terminal(command, folder)
        terminal.shows("begun here")
        terminal.press_ctrl_c()
        terminal.ended()
        nothing_left_of(directory)


def test_on_a_terminal_several_processes_are_told_apart_by_name(house: House) -> None:
    directory = house.pattern(
        "web_single_pattern", "one: sh -c 'echo I; sleep 60'\nanother: sh -c 'echo you; sleep 60'\n"
    )
    terminal = Terminal(["make", "run"], house.root)
    eventually(lambda: "I\r\n" in terminal.read() and "you\r\n" in terminal.read(), deadline_s=10)
    terminal.press_ctrl_c()
    terminal.ended()
    assert re.search(r"^\S* one +\| \S*I\r$", terminal.shown, re.MULTILINE), repr(terminal.shown)
    assert re.search(r"^\S* another +\| \S*you\r$", terminal.shown, re.MULTILINE), repr(terminal.shown)
    nothing_left_of(directory)


def test_a_run_whose_reader_has_gone_ends(house: House) -> None:
    directory = house.pattern("some_pattern", "job: yes\n")
    command = f"{sys.executable} -m mlsys.run run {directory} | head -1"
    given = os.environ | {"PYTHONPATH": str(ROOT), "PORT": str(free_port()), MARK: str(directory)}
    done = subprocess.run(["bash", "-c", command], env=given, capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == ("y\n", "")
    nothing_left_of(directory)


DEMO = "import os, urllib.request\nprint('demo of', urllib.request.urlopen(os.environ['URL'] + '/ready').status)\n"


def test_a_demo_starts_the_pattern_on_a_free_port_and_stops_it(house: House) -> None:
    directory = house.service()
    (directory / "demo.py").write_text(DEMO)
    done = make(house, "demo", "WORKERS=1")
    assert (done.returncode, done.stdout) == (0, "demo of 200\n"), done.stderr
    assert (directory / ".run" / "demo.log").exists()
    nothing_left_of(directory)


def test_a_demo_of_a_running_pattern_starts_nothing(house: House) -> None:
    directory = house.service()
    (directory / "demo.py").write_text("import os\nprint('asked', os.environ['URL'])\nraise SystemExit(5)\n")
    done = make(house, "demo", "URL=http://127.0.0.1:9")
    assert done.stdout == "asked http://127.0.0.1:9\n"
    assert "Error 5" in done.stderr
    assert not (directory / ".run").exists()


def test_a_demo_of_a_pattern_that_cannot_start_says_why(house: House) -> None:
    directory = house.service()
    (directory / "app.py").write_text(
        "from mlsys.errors import ModelError\ndef create_app(): raise ModelError('Model m is damaged.')\n"
    )
    done = make(house, "demo")
    assert done.returncode == 2
    assert "Cannot start: Model m is damaged.\n" in done.stderr
    assert "ended before it was ready" in done.stderr
