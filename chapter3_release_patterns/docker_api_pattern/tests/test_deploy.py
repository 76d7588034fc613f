"""Releases to a real SSH server on this machine; what runs there, and what is stood in, is said in machine.py."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlsys.catalogue import ROOT
from mlsys.ports import free_port
from mlsys.testing import eventually

from ..engine import EngineError, named
from ..rollout import MachineError
from ..ssh import Ssh
from .machine import Machine

A, B, C = (letter * 12 for letter in "abc")
UNIT = Path(__file__).parents[1] / "docker_api_pattern.service"

pytestmark = pytest.mark.e2e


def serving(port: int) -> str:
    """Which image answers on the machine's port."""
    return asked(port, "GET", "/ready")


def asked(port: int, method: str, path: str, body: str = "") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def release(
    machine: Machine, tag: str, *options: str, fault: str = "", real: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Build an image and release it."""
    machine.build(tag, fault=fault, real=real)
    return machine.deploy(*options)


def asked_or_none(port: int) -> str | None:
    try:
        return asked(port, "GET", "/ready") or "nothing"
    except OSError:
        return None


@pytest.fixture
def port() -> int:
    return free_port()


def test_an_image_is_sent_started_watched_and_answers_on_the_machines_port(machine: Machine, port: int) -> None:
    done = release(machine, A, "--port", str(port), real=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"docker_api_pattern:{A} is released.\n")
    assert asked(port, "POST", "/predict", '{"length": 5.1, "width": 2.4}') == '{"prediction":"virginica"}'
    etc = machine.root / "etc"
    assert (etc / "systemd/system/docker_api_pattern.service").read_text() == UNIT.read_text()
    assert (etc / "systemd/system/multi-user.target.wants/docker_api_pattern.service").is_symlink()
    expected = f"IMAGE=docker_api_pattern:{A}\nPORT={port}\n"
    assert (etc / "docker_api_pattern/good.env").read_text() == expected
    assert (etc / "docker_api_pattern/release.env").read_text() == expected


@pytest.mark.parametrize("fault", ["refuses", "unready"])
def test_an_image_that_does_not_get_healthy_is_replaced_by_the_last_good_one_on_its_own_port(
    machine: Machine, port: int, fault: str
) -> None:
    assert release(machine, A, "--port", str(port)).returncode == 0
    done = release(machine, B, "--port", str(free_port()), "--within", "6", fault=fault)
    assert done.returncode == 1
    assert f"docker_api_pattern:{A} runs again." in done.stdout
    assert "journalctl" in done.stdout
    assert serving(port) == A
    assert A in (machine.root / "etc/docker_api_pattern/release.env").read_text()


def test_a_first_image_that_does_not_get_healthy_is_stopped_and_stays_down_after_a_reboot(
    machine: Machine, port: int
) -> None:
    done = release(machine, A, "--port", str(port), "--within", "6", fault="refuses")
    assert (done.returncode, "it was stopped" in done.stdout) == (1, True)
    assert not (machine.root / "etc/docker_api_pattern/good.env").exists()
    assert not list((machine.root / "etc/systemd/system/multi-user.target.wants").iterdir())


def test_another_program_that_answers_on_the_port_is_not_taken_for_the_image(machine: Machine, port: int) -> None:
    answers = "import http.server as s; h = s.BaseHTTPRequestHandler; "
    answers += "h.do_GET = lambda self: (self.send_response(200), self.end_headers()); "
    answers += f"s.HTTPServer(('127.0.0.1', {port}), h).serve_forever()"
    impostor = subprocess.Popen([sys.executable, "-c", answers], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: asked_or_none(port), deadline_s=10)
        done = release(machine, A, "--port", str(port), "--within", "6")
    finally:
        impostor.kill()
        impostor.wait()
    assert (done.returncode, "did not get healthy" in done.stdout) == (1, True)


def test_a_release_that_is_killed_does_not_become_the_one_to_return_to(machine: Machine, port: int) -> None:
    assert release(machine, A, "--port", str(port)).returncode == 0
    machine.build(B, fault="unready")
    killed = subprocess.Popen(
        machine.command("--port", str(port)), env=machine.environment(), cwd=ROOT, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    eventually(lambda: any(call.startswith("run") and B in call for call in machine.calls()), deadline_s=30)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = release(machine, C, "--port", str(port), "--within", "6", fault="unready")
    assert (done.returncode, f"docker_api_pattern:{A} runs again." in done.stdout) == (1, True), done
    assert serving(port) == A


def test_a_release_that_is_interrupted_says_in_one_sentence_that_nobody_watches(machine: Machine, port: int) -> None:
    assert release(machine, A, "--port", str(port)).returncode == 0
    machine.build(B, fault="unready")
    pressed = subprocess.Popen(
        machine.command("--port", str(port)), env=machine.environment(), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    eventually(lambda: any(call.startswith("run") and B in call for call in machine.calls()), deadline_s=30)
    os.killpg(pressed.pid, signal.SIGINT)
    said = pressed.communicate(timeout=30)[1]
    assert (pressed.returncode, said.startswith("Interrupted: nobody has watched"), said.count("\n")) == (130, True, 1)
    assert release(machine, C, "--port", str(port)).returncode == 0, "the lock is free again"


def test_a_line_that_breaks_while_the_image_is_sent_changes_nothing(machine: Machine, port: int) -> None:
    assert release(machine, A, "--port", str(port)).returncode == 0
    machine.cut_at("docker load")
    done = release(machine, B, "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith("Cannot deploy: vm cannot be reached, or was lost: ")
    assert serving(port) == A


def test_two_cannot_release_at_the_same_time(machine: Machine) -> None:
    (machine.root / "etc/docker_api_pattern").mkdir()
    with Ssh("vm", str(machine.config)).alone('"$DESTDIR/etc/docker_api_pattern/lock"'):
        second = release(machine, A)
    assert (second.returncode, "somebody else releases to it now" in second.stderr) == (2, True)
    assert not (machine.root / "etc/docker_api_pattern/release.env").exists()


def test_with_a_registry_the_machine_pulls_what_was_pushed(machine: Machine, port: int) -> None:
    machine.build(A)
    registry = "registry.example.com/team"
    unpushed = machine.deploy("--port", str(port), "--registry", registry)
    assert (unpushed.returncode, "not found" in unpushed.stderr) == (2, True)
    pushed = subprocess.run(
        [sys.executable, "-m", "chapter3_release_patterns.docker_api_pattern.engine", registry],
        env=machine.environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert pushed.stdout == f"Pushed {registry}/docker_api_pattern:{A}\n"
    done = machine.deploy("--port", str(port), "--registry", registry)
    assert done.stdout.endswith(f"{registry}/docker_api_pattern:{A} is released.\n")
    assert serving(port) == A
    assert not any(call.startswith("load") for call in machine.calls())


def test_an_earlier_release_is_named_by_its_tag_and_older_ones_are_removed(machine: Machine, port: int) -> None:
    for tag in (A, B, C):
        assert release(machine, tag, "--port", str(port)).returncode == 0
    assert machine.images() == [f"docker_api_pattern:{B}", f"docker_api_pattern:{C}"]
    loads = sum(call.startswith("load") for call in machine.calls())
    assert machine.deploy("--port", str(port)).returncode == 0
    assert B in "".join(machine.images()), "to release the same again does not take the way back"
    done = machine.deploy("--port", str(port), "--tag", B)
    assert done.stdout.endswith(f"docker_api_pattern:{B} is released.\n")
    assert sum(call.startswith("load") for call in machine.calls()) == loads, "it was there"


def test_a_user_who_is_not_root_does_it_all_by_sudo_without_a_password(machine: Machine, port: int) -> None:
    (machine.root / "bin/id").write_text("#!/bin/sh\necho 1000\n")
    (machine.root / "bin/id").chmod(0o755)
    assert release(machine, A, "--port", str(port)).returncode == 0
    assert set((machine.root / "state/sudo").read_text().split()) == {"-n"}


def test_make_deploy_vm_and_make_push_do_the_same(machine: Machine, port: int) -> None:
    machine.build(A)
    named = ["REGISTRY=registry.example.com/team", f"PORT={port}", "HOST=vm", f"SSH_CONFIG={machine.config}"]
    done = make(machine, "push", "deploy-vm", *named)
    assert done.returncode == 0, done
    assert done.stdout.endswith(f"registry.example.com/team/docker_api_pattern:{A} is released.\n")
    assert serving(port) == A


def test_make_says_what_is_missing(machine: Machine) -> None:
    machine.build(A)
    assert "Cannot push: REGISTRY is not set: make push REGISTRY=" in make(machine, "push").stderr
    assert (
        "Cannot deploy: HOST='' is not of the form user@host: make deploy-vm HOST=" in make(machine, "deploy-vm").stderr
    )


def make(machine: Machine, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = machine.environment()
    for name in ("HOST", "PORT", "REGISTRY", "TAG", "SSH_CONFIG", "MAKEFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    return subprocess.run(
        ["make", *words], cwd=UNIT.parent, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_same_image_can_move_to_another_port(machine: Machine, port: int) -> None:
    assert release(machine, A, "--port", str(port)).returncode == 0
    assert release(machine, A, "--port", str(another := free_port())).returncode == 0
    assert serving(another) == A
    assert f"PORT={another}" in (machine.root / "etc/docker_api_pattern/good.env").read_text()


def test_a_machine_whose_host_key_is_another_is_refused_and_not_asked_anything(machine: Machine) -> None:
    known = machine.config.with_name("known_hosts")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(known) + ".key"], check=True)
    other = known.with_name(known.name + ".key.pub").read_text().split()[1]
    known.write_text(f"{known.read_text().split()[0]} ssh-ed25519 {other}\n")
    done = release(machine, A)
    assert (done.returncode, "cannot be reached" in done.stderr) == (2, True)
    assert not (machine.root / "etc/docker_api_pattern").exists()


def test_a_machine_that_lacks_something_is_refused_before_anything_is_changed(machine: Machine) -> None:
    (machine.root / "bin/docker").write_text("#!/bin/sh\necho 'no engine answers' >&2; exit 1\n")
    done = release(machine, A)
    assert (done.returncode, "no engine answers" in done.stderr) == (2, True)
    assert list((machine.root / "etc").iterdir()) == [machine.root / "etc/systemd"]


def test_nothing_is_released_that_was_not_built(machine: Machine) -> None:
    done = machine.deploy()
    assert done.returncode == 1
    assert "Is it built? `make build` does." in done.stderr


@pytest.mark.parametrize(
    "host",
    ["", "-oProxyCommand=touch${IFS}here", "a b", "user@", "user@-x", "$(id)", "a;id", "a\nb", "ü", "x" * 10 + "@@y"],
)
def test_a_host_that_is_none_is_refused_and_never_becomes_an_option(machine: Machine, host: str) -> None:
    with pytest.raises(MachineError, match="is not of the form user@host"):
        Ssh(host)
    done = machine.deploy(host=host) if not host.startswith("-") else machine.deploy("--", host="--port=1")
    assert done.returncode == 2


@pytest.mark.parametrize("registry", ["https://x", "X.example.com", "a b", "-x", "a//b", "a/$(id)", "a/../b", "a/"])
def test_a_registry_that_is_none_is_refused(registry: str) -> None:
    with pytest.raises(EngineError, match="REGISTRY="):
        named(registry, A)


@pytest.mark.parametrize("tag", ["", "a b", "-x", "a/b", "x" * 129, "ü", "a\n", "$(id)"])
def test_a_tag_that_is_none_is_refused(tag: str) -> None:
    with pytest.raises(EngineError, match="TAG="):
        named("", tag)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", ""])
def test_a_port_that_is_none_is_refused(machine: Machine, port: str) -> None:
    done = machine.deploy("--port", port)
    assert (done.returncode, "argument --port" in done.stderr) == (2, True)


@pytest.mark.parametrize(("option", "seconds"), [("--within", "nan"), ("--within", "x"), ("--every", "-1")])
def test_a_time_that_is_none_is_refused(machine: Machine, option: str, seconds: str) -> None:
    done = machine.deploy(f"{option}={seconds}")
    assert (done.returncode, f"argument {option}" in done.stderr) == (2, True)


def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze")
    if not verifier:
        pytest.skip("there is no systemd-analyze on this machine")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\n")
    (programs / "docker").chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(
        UNIT.read_text().replace("=docker ", f"={programs}/docker ").replace("=-docker", f"=-{programs}/docker")
    )
    (tmp_path / "docker.service").write_text(f"[Service]\nExecStart={programs}/docker\n")  # this machine may have none
    done = subprocess.run(
        [verifier, "verify", "--man=no", str(unit)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_of_the_unit_takes_longer_than_requests_are_given_to_end() -> None:
    text = UNIT.read_text()
    stop_timeout = int(text.split("--stop-timeout ")[1].split()[0])
    assert 10 < stop_timeout < int(text.split("TimeoutStopSec=")[1].split()[0])
