"""A machine to release to, on this one: a real SSH server whose commands really run, in a root of their own.

Real: the `ssh` client with its key, known hosts and configuration; the login; the shell and its files; curl and flock;
the service and its port. Stood in, by programs on the server's PATH (tests/standins): systemd always and, where no
engine is given, Docker. What they cannot show is said in the README.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from mlsys.catalogue import ROOT

HERE = Path(__file__).parent
PATTERN = "chapter3_release_patterns.docker_api_pattern"


class Machine:
    """The SSH server `vm`, its root, and the engine of the machine from which one releases.

    real_docker: whether `docker` is this machine's own, on both sides, instead of the stand-in.
    """

    def __init__(self, folder: Path, models: Path, *, real_docker: bool = False) -> None:
        self.root = folder / "vm"
        self.config = folder / "ssh_config"
        self._models = models
        self._folder = folder
        self._cut: re.Pattern[str] | None = None
        self._connections: list[asyncssh.SSHServerConnection] = []
        for name in ("vm/etc/systemd/system", "vm/state", "here/state", "registry"):
            (folder / name).mkdir(parents=True)
        for side in ("vm", "here"):
            self._install(side, "docker" if not real_docker else "", "systemctl" if side == "vm" else "")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._make_keys()
        self._server = self._do(self._listen())
        self._configure(self._server.get_port())

    def build(self, tag: str, *, fault: str = "", real: bool = False) -> None:
        """Have an image built here whose id begins with `tag`: of the service if it is to be `real`, else of a small
        server that tells its tag, and has the fault.
        """
        serve = ["-m", "mlsys.serve", f"{PATTERN}.app:create_app"] if real else [str(HERE / "standins/service.py")]
        model = str(self._models / "iris_perceptron" / "model.onnx")
        env = {"PYTHONPATH": str(ROOT), "MODEL_PATH": model, "RELEASE": tag, "FAULT": fault}
        about = {"id": f"sha256:{tag:0<64}", "command": [sys.executable, *serve], "env": env}
        (self._folder / "here/state/images.json").write_text(json.dumps({"docker_api_pattern:latest": about}))

    def command(self, *options: str, host: str = "vm") -> list[str]:
        """The command that `make deploy-vm` types."""
        config = ("--ssh-config", str(self.config), "--every", "0.2")
        return [sys.executable, "-m", f"{PATTERN}.deploy", host, *config, *options]

    def environment(self) -> dict[str, str]:
        """Of the machine from which one releases."""
        state = {"STANDIN_STATE": str(self._folder / "here/state"), "STANDIN_REGISTRY": str(self._folder / "registry")}
        path = f"{self._folder / 'here/bin'}:{os.environ['PATH']}"
        return {**os.environ, **state, "PATH": path, "PYTHONPATH": str(ROOT)}

    def deploy(self, *options: str, host: str = "vm") -> "subprocess.CompletedProcess[str]":
        """Release, and wait for the end."""
        return subprocess.run(
            self.command(*options, host=host),
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def cut_at(self, command: str | None) -> None:
        """Break the line whenever a command is received that contains this."""
        self._cut = re.compile(re.escape(command)) if command else None

    def calls(self) -> list[str]:
        """What the machine's stood-in engine was asked so far."""
        return (self.root / "state/calls").read_text().splitlines()

    def images(self) -> list[str]:
        """What the machine's stood-in engine has."""
        file = self.root / "state/images.json"
        return list(json.loads(file.read_text())) if file.exists() else []

    def close(self) -> None:
        """Take the server away, and end what runs there."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("DESTDIR") == str(self.root):
                    process.kill()
            except psutil.Error:
                continue
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, task: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it returns
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(30)

    def _install(self, side: str, *names: str) -> None:
        programs = self._folder / side / "bin"
        programs.mkdir()
        for name in filter(None, names):
            script = HERE / "standins" / f"{name}.py"
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
            (programs / name).chmod(0o755)
        asked = 'printf "%s\\\\n" "$1" >>"$STANDIN_STATE/sudo"; shift; exec "$@"'  # where the tests do not run as root
        (programs / "sudo").write_text(f"#!/bin/sh\n{asked}\n")
        (programs / "sudo").chmod(0o755)

    def _make_keys(self) -> None:
        keygen = shutil.which("ssh-keygen")
        assert keygen, "the tests of a release over SSH need OpenSSH's client: apt install openssh-client"
        for name in ("host_key", "client_key"):
            key = str(self._folder / name)
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, stdin=subprocess.DEVNULL)

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(self._folder / "host_key")],
            authorized_client_keys=str(self._folder / "client_key.pub"),
            process_factory=self._run,
            encoding=None,
        )

    async def _shut(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.abort()
        await self._server.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        connection = process.channel.get_connection()
        assert isinstance(connection, asyncssh.SSHServerConnection)
        self._connections.append(connection)
        command = process.command or ""
        if self._cut and self._cut.search(command):
            connection.abort()
            return
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "HOME": str(self.root),
            "DESTDIR": str(self.root),
            "STANDIN_STATE": str(self.root / "state"),
            "STANDIN_REGISTRY": str(self._folder / "registry"),
        }
        pipe = asyncio.subprocess.PIPE
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=self.root
        )
        assert shell.stdin
        assert shell.stdout
        assert shell.stderr
        feeding = asyncio.create_task(_pump(process.stdin, shell.stdin))
        await asyncio.gather(_pump(shell.stdout, process.stdout), _pump(shell.stderr, process.stderr))
        process.exit(await shell.wait())
        feeding.cancel()

    def _configure(self, port: int) -> None:
        known = self._folder / "known_hosts"
        host_key = " ".join((self._folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"[127.0.0.1]:{port} {host_key}\n")
        self.config.write_text(
            f"Host vm\n  HostName 127.0.0.1\n  Port {port}\n  User somebody\n  IdentityFile {self._folder}/client_key\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n  StrictHostKeyChecking yes\n"
        )


async def _pump(source: Any, sink: Any) -> None:  # noqa: ANN401  # streams of asyncio and of asyncssh
    try:
        with contextlib.suppress(OSError, asyncssh.Error):  # either end may have gone
            while part := await source.read(65536):
                sink.write(part)
                await sink.drain()
    finally:
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()
