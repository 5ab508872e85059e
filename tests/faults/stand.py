"""The processes to kill: a server, a worker and, in some configurations, a separate PostgreSQL cluster."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..cluster import create_database
from ..raw import RawClient
from ..servers import ROOT, Server
from .cluster import Cluster, killable_cluster

CONFIGURATIONS = {
    "postgresql-blocks": {"POST3_STORAGE": "database"},
    "postgresql-files": {"POST3_STORAGE": "filesystem"},
    "sqlite-files": {"POST3_STORAGE": "filesystem"},
}
#: Small parts, so that a multipart upload takes only a moment.
SETTINGS = {"POST3_MIN_PART_SIZE": "65536", "POST3_PENDING_UPLOAD_SECONDS": "60"}
#: Seconds within which everything must respond again.
PATIENCE = 60


class Stand:
    """One running configuration. `cluster` is None on SQLite."""

    def __init__(self, configuration: str, directory: Path, cluster: Cluster | None, runner: str, grace: int) -> None:
        environment = {**CONFIGURATIONS[configuration], **SETTINGS, "POST3_GARBAGE_GRACE_SECONDS": str(grace)}
        if cluster is not None:
            environment["DATABASE_URL"] = create_database(cluster.url)
        self.server = Server(directory, environment, runner=runner)
        self.cluster = cluster
        self.targets = ["server", "worker", "all"] + (["postgresql"] if cluster else [])
        #: True if the server may hold connections to a dead database, each of which fails once.
        self.has_stale_connections = False
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server.start()
        self._start_worker()

    def stop(self) -> None:
        """Stop the server and the worker, which may be dead already."""
        self.server.stop()
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait(PATIENCE)

    def client(self) -> RawClient:
        return RawClient(self.server.host, self.server.port, self.server.access_key, self.server.secret_key)

    def kill(self, target: str) -> None:
        """Send SIGKILL to one of `targets`; `all` means everything together."""
        if target in ("server", "all"):
            self.server.kill()
        if target in ("worker", "all"):
            assert self._worker is not None
            os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
        if target in ("postgresql", "all") and self.cluster is not None:
            self.cluster.kill()
            self.has_stale_connections = True

    def restart(self, target: str) -> None:
        """Start again what `kill` killed. Return when the server reports that it is ready."""
        if target in ("postgresql", "all") and self.cluster is not None:
            self.cluster.start()
        if target in ("worker", "all"):
            self._start_worker()
        if target in ("server", "all"):
            self.server.run()
            self.has_stale_connections = False
        deadline = time.monotonic() + PATIENCE
        while not self.server.is_ready():
            assert time.monotonic() < deadline, f"not ready after {PATIENCE} s:\n{self.server.log()[-5000:]}"
            time.sleep(0.05)

    def _start_worker(self) -> None:
        with open(self.server.data_dir / "worker.log", "ab") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "manage.py", "run_worker", "--interval", "0.1"],
                cwd=ROOT,
                env=self.server.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextlib.contextmanager
def stand(configuration: str, runner: str = "uvicorn", *, grace: int = 0) -> Iterator[Stand]:
    """Start a configuration with everything it needs. Always stop and remove it.

    `grace`: seconds until the worker deletes released blobs. Without a grace period, a download can lose its bytes.
    """
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(killable_cluster()) if configuration.startswith("postgresql") else None
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="post3-faults-"))
        one = Stand(configuration, Path(directory), cluster, runner, grace)
        stack.callback(one.stop)
        one.start()
        yield one
