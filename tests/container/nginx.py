"""nginx with the project's docker/nginx.conf, in front of a test server."""

import contextlib
import copy
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ..servers import ROOT, Server, free_port

#: Seconds for nginx to start and to stop.
PATIENCE = 30
#: Lines specific to the container, which tests replace.
UPSTREAM, LISTEN, RESOLVER = "server server:9000 resolve;", "listen 8080;", "resolver 127.0.0.11 valid=5s;"
CONSOLE_UPSTREAM, CONSOLE_LISTEN = "server server:9001 resolve;", "listen 8081;"


def find_nginx() -> str:
    """Return nginx's path. Install nginx through apt-get if it is missing. Fails if that is not possible."""
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path:
        return path
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Without a policy, Debian's package would start its own nginx on port 80.
    policy = Path("/usr/sbin/policy-rc.d")
    if not policy.exists() and os.geteuid() == 0:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    else:
        policy = Path()
    try:
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "nginx-light"]):
            command = [*prefix, "apt-get", *arguments]
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            assert done.returncode == 0, f"nginx cannot be installed: {done.stdout}{done.stderr}"
    finally:
        if policy != Path():
            policy.unlink()
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert path, "apt-get installed nginx-light, but there is no nginx"
    return path


def configuration(server: Server, port: int, console_port: int, directory: Path) -> str:
    """Return docker/nginx.conf with this server behind it, and with these ports and this directory for /tmp."""
    text = (ROOT / "docker" / "nginx.conf").read_text()
    changes = {
        UPSTREAM: f"server {server.host}:{server.port};",
        LISTEN: f"listen 127.0.0.1:{port};",
        CONSOLE_UPSTREAM: f"server {server.host}:{server.console_port};",
        CONSOLE_LISTEN: f"listen 127.0.0.1:{console_port};",
        # Docker's resolver. No names are resolved here.
        RESOLVER: "",
        " /tmp/": f" {directory}/",
    }
    for old, new in changes.items():
        assert old in text, f"docker/nginx.conf has no {old!r}"
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def nginx_before(server: Server, directory: Path) -> Iterator[Server]:
    """Start nginx in front of a server, yield that server as seen through nginx, and stop nginx.

    `directory` must be accessible to nginx's worker processes, which run as another user if root starts nginx.
    """
    front = copy.copy(server)
    front.port = free_port()
    front.url = f"http://{front.host}:{front.port}"
    front.console_port = free_port()
    front.console_url = f"http://{front.host}:{front.console_port}"
    path = directory / "nginx.conf"
    path.write_text(configuration(server, front.port, front.console_port, directory))
    log_path = directory / "nginx.log"
    command = [find_nginx(), "-e", "stderr", "-p", str(directory), "-c", str(path), "-g", "daemon off;"]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(front):
            assert process.poll() is None, f"nginx did not start:\n{log_path.read_text()}"
            assert time.monotonic() < deadline, f"nginx does not listen:\n{log_path.read_text()}"
            time.sleep(0.05)
        yield front
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(server: Server) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((server.host, server.port), timeout=1):
        return True
    return False
