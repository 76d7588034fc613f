"""Commands on another machine, by the system's own ssh: its keys, its known hosts and its configuration hold."""

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import IO

from .rollout import MachineError

_SHORT_S = 60
_OPTIONS = [
    "-T",
    *("-o", "BatchMode=yes"),  # a question that nobody answers would be waited for
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),  # a line that is cut says nothing: after 15 s it is taken for lost
    *("-o", "ServerAliveCountMax=3"),
]
_LOST = 255
"""Exit code of ssh itself; every other is the command's."""


class Ssh:
    """A machine, named as `ssh` takes it. config: a file instead of ~/.ssh/config. Raises: MachineError."""

    def __init__(self, host: str, config: str = "") -> None:
        if not re.fullmatch(r"(\w[\w.-]*@)?\w[\w.:-]*", host, re.ASCII):  # `-oProxyCommand=…` would be an option
            raise MachineError(f"HOST={host!r} is not of the form user@host: make deploy-vm HOST=user@host")
        if not shutil.which("ssh"):
            raise MachineError("there is no ssh program here: install OpenSSH's client.")
        self.host = host
        self._command = ["ssh", *(["-F", config] if config else []), *_OPTIONS]

    def run(self, script: str, *, within_s: float = _SHORT_S) -> str:
        """What a shell script prints there, run as root. Raises: MachineError if it fails or cannot be run."""
        done = self._ask(script, within_s)
        if done.returncode:
            raise MachineError(f"{self.host} could not do what it was asked: {_said(done)}")
        return done.stdout.strip()

    def succeeds(self, script: str) -> bool:
        """Whether a shell script ends with 0 there. Raises: MachineError if it cannot be run."""
        return self._ask(script, _SHORT_S).returncode == 0

    def feed(self, program: list[str], script: str, *, within_s: float) -> None:
        """Give what a program prints here to a script there. Raises: MachineError if either fails."""
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as source:
            try:
                done = self._ask(script, within_s, source.stdout, "-C")
            finally:
                source.stdout.close()  # type: ignore[union-attr]  # it ends when nobody reads
                said = source.stderr.read() if source.stderr else ""
        if source.returncode or done.returncode:
            raise MachineError(f"{shlex.join(program)} did not get to {self.host}: {said.strip() or _said(done)}")

    @contextlib.contextmanager
    def alone(self, lock: str) -> Iterator[None]:
        """Nobody else holds the file `lock` meanwhile, as long as the line holds. Raises: MachineError if one does."""
        held = self._typed(f"exec flock --nonblock {lock} sh -c 'echo held; exec timeout 3600 cat'")
        with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            try:
                if holder.stdout is None or holder.stdout.readline() != "held\n":
                    raise MachineError(f"{self.host} cannot be reached, or somebody else releases to it now: {lock}.")
                yield
            finally:
                holder.communicate()  # closes its input, which ends it there

    def _ask(
        self, script: str, within_s: float, stdin: IO[str] | None = None, *options: str
    ) -> "subprocess.CompletedProcess[str]":
        try:
            done = subprocess.run(
                self._typed(script, *options),
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=within_s,
            )
        except subprocess.TimeoutExpired:
            raise MachineError(f"{self.host} did not answer within {within_s:g} s.") from None
        if done.returncode == _LOST:
            raise MachineError(f"{self.host} cannot be reached, or was lost: {_said(done)}")
        return done

    def _typed(self, script: str, *options: str) -> list[str]:
        """The command that runs the script there as root; ssh passes it to whatever shell its user has."""
        quoted = shlex.quote(script)
        as_root = f'if [ "$(id -u)" = 0 ]; then exec sh -c {quoted}; else exec sudo -n sh -c {quoted}; fi'
        return [*self._command, *options, "--", self.host, f"exec sh -c {shlex.quote(as_root)}"]


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    return done.stderr.strip() or f"exit code {done.returncode}"
