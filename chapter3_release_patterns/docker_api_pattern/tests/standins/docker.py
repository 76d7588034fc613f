"""What stands in for a Docker engine where there is none: the few subcommands that a release uses, on files.

An image is an entry of a JSON file: a command and its variables. The process that `run` starts is real, and so is its
port; layers, namespaces and limits are not there. Whatever this does not know ends with code 64, so that a command with
another option than the pattern's fails.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ["STANDIN_STATE"])
OPTIONS = {
    "--name": 1, "--publish": 1, "--env": 1, "--pull": 1, "--tmpfs": 1, "--cap-drop": 1, "--security-opt": 1,
    "--memory": 1, "--cpus": 1, "--pids-limit": 1, "--stop-timeout": 1, "--rm": 0, "--read-only": 0,
}  # fmt: skip


def fail(sentence: str, code: int = 1) -> NoReturn:
    sys.stderr.write(sentence + "\n")
    sys.exit(code)


def load(name: str) -> dict[str, Any]:
    file = STATE / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def keep(name: str, content: dict[str, Any]) -> None:
    (STATE / f"{name}.json.{os.getpid()}").write_text(json.dumps(content))
    (STATE / f"{name}.json.{os.getpid()}").rename(STATE / f"{name}.json")


def image(name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = load("images").get(name) or load("images").get(f"{name}:latest")
    return found or fail(f"No such image: {name}")


def add(name: str, content: dict[str, Any]) -> None:
    keep("images", load("images") | {name if ":" in name.rpartition("/")[2] else f"{name}:latest": content})


def run(words: list[str]) -> None:
    given: dict[str, str] = {}
    while words[0].startswith("--"):
        option = words.pop(0)
        if option not in OPTIONS:
            fail(f"unknown flag: {option}", 64)
        given[option] = words.pop(0) if OPTIONS[option] else ""
    (name,) = words
    if load("containers").get(given["--name"]):
        fail(f"Conflict. The container name {given['--name']} is already in use.", 125)
    published, _, inside = given["--publish"].partition(":")
    about = image(name)
    environment = os.environ | {"PORT": published, "HOST": "127.0.0.1", given["--env"].partition("=")[0]: "json"}
    environment |= about["env"]
    assert inside == "8000"
    refuse_busy(int(published))
    process = subprocess.Popen(about["command"], env=environment, start_new_session=True)
    keep("containers", {given["--name"]: {"image": name, "pid": process.pid}})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: process.send_signal(number))
    code = process.wait()
    keep("containers", {})
    sys.exit(code if code >= 0 else 128 - code)


def refuse_busy(port: int) -> None:
    """As the engine does, which publishes the port before it starts the process."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            fail(f"Bind for 127.0.0.1:{port} failed: port is already allocated.", 125)


def stop(name: str) -> None:
    running = load("containers").get(name) or fail(f"No such container: {name}")
    os.kill(running["pid"], signal.SIGTERM)


def inspect(form: str, name: str) -> None:
    running = load("containers").get(name) or fail(f"No such object: {name}")
    if form != "{{.State.Running}} {{.Config.Image}}":
        fail(f"unknown format: {form}", 64)
    print("true", running["image"])


def remove(name: str) -> None:
    if name in {container["image"] for container in load("containers").values()}:
        fail(f"conflict: {name} is in use")
    image(name)
    keep("images", {other: about for other, about in load("images").items() if other != name})


def main(words: list[str]) -> None:  # noqa: C901  # a table of commands
    STATE.mkdir(exist_ok=True)
    with (STATE / "calls").open("a") as calls:
        calls.write(" ".join(words) + "\n")
    match words:
        case ["version"]:
            print("a stand-in")
        case ["image", "inspect", "--format", "{{.Id}}", name]:
            print(image(name)["id"])
        case ["image", "inspect", name]:
            print(json.dumps(image(name)))
        case ["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]:
            print("\n".join(load("images")))
        case ["image", "rm", name]:
            remove(name)
        case ["tag", name, other]:
            add(other, image(name))
        case ["save", name]:
            json.dump({name: image(name)}, sys.stdout)
        case ["load", "--quiet"]:
            for name, about in json.load(sys.stdin).items():
                add(name, about)
        case ["push", name]:
            file = Path(os.environ["STANDIN_REGISTRY"]) / name.replace("/", "!")
            file.write_text(json.dumps(image(name)))
        case ["pull", "--quiet", name]:
            file = Path(os.environ["STANDIN_REGISTRY"]) / name.replace("/", "!")
            add(name, json.loads(file.read_text())) if file.exists() else fail(f"{name}: not found")
        case ["run", *rest]:
            run(rest)
        case ["stop", name]:
            stop(name)
        case ["rm", "--force", name]:
            fail(f"No such container: {name}") if name not in load("containers") else stop(name)
        case ["inspect", "--format", form, name]:
            inspect(form, name)
        case _:
            fail(f"docker: {words} is not what the stand-in knows.", 64)


if __name__ == "__main__":
    main(sys.argv[1:])
