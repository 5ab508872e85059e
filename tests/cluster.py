"""A PostgreSQL cluster for the tests: created in a temporary directory, reached by a socket in it, removed at the end.

It syncs as a production cluster does, because durability is part of what is tested, unless `settings` turn that off.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg

#: Several servers with 32 connections each run at once.
MAX_CONNECTIONS = 400


class NoPostgreSQL(Exception):
    """There is no PostgreSQL server on this machine, and none can be installed. The message says why."""


def find_binaries() -> Path | None:
    """Return the directory of the newest `initdb` with a `pg_ctl` beside it."""
    directories = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _version(path.parent.name), reverse=True)
    if on_path := shutil.which("initdb"):
        directories.append(Path(on_path).resolve().parent)
    return next((path for path in directories if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0


def install() -> Path:
    """Install PostgreSQL through apt-get. Raises NoPostgreSQL."""
    if not shutil.which("apt-get"):
        raise NoPostgreSQL("There is no PostgreSQL (initdb) on this machine, and no apt-get to install it with.")
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "postgresql"]):
        print("Installing PostgreSQL: apt-get", *arguments, flush=True)
        try:
            subprocess.run([*prefix, "apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoPostgreSQL(f"There is no PostgreSQL on this machine, and installing it failed: {error}") from None
    binaries = find_binaries()
    if binaries is None:
        raise NoPostgreSQL("apt-get installed the package postgresql, but there is still no initdb in /usr/lib/postgresql.")
    return binaries


class Cluster:
    """A cluster in a directory of its own. `url` names its maintenance database, by a socket, or by TCP on `port`.

    `binaries`: the directory of `initdb`, where it is not the newest that Debian has installed.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        binaries: Path | None = None,
    ) -> None:
        self._binaries = binaries or find_binaries() or install()
        self._as_owner, self.owner = _owner()
        self.directory, self._data = directory, directory / "data"
        shutil.chown(directory, self.owner)
        locale = ["--encoding=UTF8", "--locale=C.UTF-8"]
        self._run("initdb", "-U", "post3", "--auth=trust", "--no-instructions", *locale)
        with open(self._data / "postgresql.conf", "a") as file:
            file.write(f"unix_socket_directories = '{directory}'\nmax_connections = {MAX_CONNECTIONS}\n")
            file.write(f"listen_addresses = '127.0.0.1'\nport = {port}\n" if port else "listen_addresses = ''\n")
            file.write("log_min_messages = warning\n")
            file.writelines(f"{name} = '{value}'\n" for name, value in (settings or {}).items())
        host = f"127.0.0.1:{port}" if port else quote(str(directory), safe="")
        self.url = f"postgresql://post3@{host}/postgres"

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._run("pg_ctl", "-l", str(self.directory / "log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it. `immediate` is like a crash: connections break, and the next start recovers."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        # postgres keeps standard output open, so a pipe would never reach its end.
        command = [*self._as_owner, str(self._binaries / program), "-D", str(self._data), *arguments]
        with open(self.directory / "commands.log", "ab") as log:
            done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if done.returncode:
            paths = (self.directory / "commands.log", self.directory / "log")
            logs = [path.read_text(errors="replace") for path in paths if path.exists()]
            raise RuntimeError(f"{program} failed:\n" + "\n".join(logs))


@contextlib.contextmanager
def own_cluster(
    settings: Mapping[str, str] | None = None, port: int | None = None, binaries: Path | None = None
) -> Iterator[Cluster]:
    """Start a cluster, yield it, then stop and remove it, whatever happens.

    `settings`: lines of postgresql.conf, in addition to those of every cluster.
    """
    # Not in TMPDIR, because the path of a socket has at most 107 bytes. Lower case, because the host of a URL is.
    directory = Path(tempfile.mkdtemp(prefix="post3-postgresql-", dir="/tmp"))
    try:
        cluster = Cluster(directory, settings, port, binaries)
        cluster.start()
        try:
            yield cluster
        finally:
            if (directory / "data" / "postmaster.pid").exists():
                cluster.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def private_cluster(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Do the same for callers that only need the URL of the maintenance database."""
    with own_cluster(settings) as cluster:
        yield cluster.url


def postmaster_pid(url: str) -> int:
    """Return the process id of the cluster that `private_cluster` made, the parent of all its processes."""
    return int((Path(unquote(urlsplit(url).hostname or "")) / "data" / "postmaster.pid").read_text().split()[0])


def _owner() -> tuple[list[str], str]:
    """Return the prefix of a command and the user that runs it, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return [], pwd.getpwuid(os.geteuid()).pw_name
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return ["runuser", "-u", name, "--"], name
    raise NoPostgreSQL("PostgreSQL does not run as root, and there is no user postgres to run it as.")


def create_database(url: str, options: str = "") -> str:
    """Create a database beside the one that `url` names, with these options of CREATE DATABASE, and return its URL."""
    name = f"post3_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str, fresh: str) -> None:
    """Drop a database that `create_database(url)` created, even if it has connections."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {urlsplit(fresh).path[1:]} WITH (FORCE)")
