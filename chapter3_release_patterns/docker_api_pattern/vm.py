"""A machine that runs the image by systemd, seen over SSH. It has docker, systemctl, curl and flock."""

import re
import shlex
from contextlib import AbstractContextManager
from pathlib import Path

from . import engine
from .engine import NAME
from .rollout import Machine, MachineError
from .ssh import Ssh

UNIT = Path(__file__).with_name(f"{NAME}.service")
PLACE = f'"${{DESTDIR-}}/etc/{NAME}"'
"""Folder of the release's files on the machine. DESTDIR, as in any staged installation, is empty on a real one."""
_NEEDS = "for program in docker systemctl curl flock; do command -v $program >/dev/null || "
_NEEDS += '{ echo "there is no $program on it" >&2; exit 1; }; done; docker version >/dev/null'


class Vm(Machine):
    """A machine that runs the image as a systemd service, on `port`."""

    def __init__(self, ssh: Ssh, port: int, registry: str = "") -> None:
        self._ssh = ssh
        self._port = port
        self._registry = registry
        self._ports: dict[str, int] = {}  # of a former release, which returns to its own

    def check(self) -> None:
        """Raises: MachineError if the machine cannot be reached or lacks something, before anything is changed."""
        self._ssh.run(f"{_NEEDS} && mkdir -p {PLACE}")

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else releases to the machine meanwhile. Raises: MachineError if somebody does."""
        return self._ssh.alone(f"{PLACE}/lock")

    def good(self) -> str | None:
        """The image that was last called good; None before the first."""
        written = self._ssh.run(f"if [ -e {PLACE}/good.env ]; then cat {PLACE}/good.env; fi")
        if not written:
            return None
        found = re.fullmatch(r"IMAGE=(\S+)\nPORT=(\d+)", written)
        if not found:
            raise MachineError(f"/etc/{NAME}/good.env on {self._ssh.host} is not what a release writes: {written!r}.")
        self._ports[found[1]] = int(found[2])
        return found[1]

    def bring(self, image: str) -> None:
        """Have the image there: pulled from the registry or, without one, sent over this connection."""
        self._ports[image] = self._port  # also where it is the good one again, on another port now
        present = f"docker image inspect {shlex.quote(image)} >/dev/null 2>&1"
        if self._ssh.succeeds(present):
            return
        if self._registry:
            self._ssh.run(f"docker pull --quiet {shlex.quote(image)}", within_s=engine.LONG_S)
        else:
            self._ssh.feed(["docker", "save", image], "docker load --quiet", within_s=engine.LONG_S)
        if not self._ssh.succeeds(present):
            raise MachineError(f"{image} was brought to {self._ssh.host}, and is not there.")

    def start(self, image: str) -> None:
        """Install the unit and the release, and restart the service."""
        unit = f'"${{DESTDIR-}}/etc/systemd/system/{NAME}.service"'
        self._ssh.run(
            f"set -e; {_write(unit, UNIT.read_text())}; {self._written('release.env', image)}; "
            f"systemctl daemon-reload; systemctl reset-failed {NAME} 2>/dev/null || true; "
            f"systemctl enable --quiet {NAME}; systemctl restart {NAME}"
        )

    def is_healthy(self, image: str) -> bool:
        """Whether the container of this image runs, and /ready answers on the port of the machine."""
        runs = f"docker inspect --format '{{{{.State.Running}}}} {{{{.Config.Image}}}}' {NAME} 2>/dev/null"
        url = f"http://127.0.0.1:{self._ports.get(image, self._port)}/ready"
        return self._ssh.succeeds(
            f'[ "$({runs})" = {shlex.quote(f"true {image}")} ] && '
            f"curl --silent --fail --noproxy '*' --max-time 3 --output /dev/null {url}"
        )

    def call_good(self, image: str) -> None:
        """Write down that this image was healthy."""
        self._ssh.run(f"set -e; {self._written('good.env', image)}")

    def stop(self) -> None:
        """Stop the service, and do not start it after a reboot."""
        self._ssh.run(f"systemctl disable --quiet --now {NAME}")

    def tidy(self, *keep: str | None) -> None:
        """Remove former images, which would fill the disk; those in use stay."""
        listed = self._ssh.run("docker image ls --format '{{.Repository}}:{{.Tag}}'").split()
        for image in listed:
            if re.fullmatch(rf"(\S+/)?{NAME}:[0-9a-f]{{12}}", image) and image not in keep:
                self._ssh.run(f"docker image rm {shlex.quote(image)} >/dev/null")

    def _written(self, name: str, image: str) -> str:
        release = f"IMAGE={image}\nPORT={self._ports.get(image, self._port)}\n"
        return _write(f"{PLACE}/{name}", release)


def _write(file: str, text: str) -> str:
    """A shell command that writes a file whole or not at all."""
    return f"printf %s {shlex.quote(text)} >{file}.new && sync {file}.new && mv {file}.new {file}"
