"""Tests of every folder share the fixtures of mlsys.testing, mlsys.testing_postgres and mlsys.testing_redis."""

import os
import signal

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # before tests import it: see mlsys.remote
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONPATH"):  # tests start what they start alike under `make test`
    os.environ.pop(name, None)
pytest_plugins = ["mlsys.testing", "mlsys.testing_postgres", "mlsys.testing_redis"]


def pytest_sessionstart() -> None:
    """Let Ctrl-C and a closed terminal end what tests start: under `nohup` or `&` a process ignores them, and so would
    its children.
    """
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)
