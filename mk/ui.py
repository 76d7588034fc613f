"""MLflow's pages about the training runs, on this machine alone: `make ui [PORT=5001]`.

It stands between make and MLflow because of Ctrl-C: `mlflow ui` passes on to its server the signal that the server has
had from the terminal already, and a server that gets it twice prints a traceback.
"""

import os
import signal
import subprocess
import sys
from functools import partial

from mk.bootstrap import ROOT
from mlsys.parent import die_with_parent

ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a dozen processes for what no page here needs
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONWARNINGS": "ignore",  # MLflow's own, about its libraries
}


def main() -> int:
    """Exit code: 0 if a person stopped it, MLflow's own if it ended by itself."""
    port = os.environ.get("PORT") or "5000"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{ROOT}/mlflow.db"]
    print(f"See http://127.0.0.1:{port}/#/experiments in a few seconds (Ctrl-C stops it).", flush=True)
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", port, "--workers", "1"],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        start_new_session=True,  # the terminal's Ctrl-C does not reach it
        preexec_fn=partial(die_with_parent, os.getpid(), signal.SIGTERM),
    )
    stopped = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        server.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    code = server.wait()
    return 0 if stopped else code


if __name__ == "__main__":
    sys.exit(main())
