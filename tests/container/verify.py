"""`python -m tests.container.verify`: build the container image and run it. Takes minutes, and needs root on Debian.

Docker and an image registry are not needed. debootstrap makes the base image from the mirror in this machine's apt
configuration, buildah builds docker/Dockerfile on it, and podman runs the image as docker/compose.yaml does: read-only,
without capabilities, as its own user. First `serve` runs on SQLite, then migrate, server and worker on a PostgreSQL of
the tests. For each, the health check is run, and objects are stored and read. All figures are printed. The first
failure ends the program with status 1. Missing programs are installed through apt-get. Not verified are the parts that
need Docker: compose itself, and the images of PostgreSQL and nginx.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ..cluster import create_database, own_cluster
from ..interrupts import run_program
from ..servers import ROOT, free_port

sys.path.insert(0, str(ROOT / "docker" / "ci"))
import image

PROGRAMS = {"buildah": "buildah", "podman": "podman", "debootstrap": "debootstrap", "runc": "runc"}
BASE = "localhost/post3-base:bookworm"
#: Directories that debian:bookworm-slim leaves out, too.
NOT_SLIM = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "var/cache/apt")
#: The restrictions of the services in docker/compose.yaml.
CONFINED = "--read-only --tmpfs /tmp:size=256m --cap-drop all --security-opt no-new-privileges".split()
#: Podman's defaults need a systemd, whose timer runs the health check, and the right to raise limits, which a machine
#: may lack. crun of Debian bookworm refuses some kinds of control groups; runc accepts all.
PODMAN = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
FILES = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
UNMANAGED = f"--network host --health-interval disable --ulimit nofile={FILES}:{FILES} --ulimit nproc=1024:1024".split()
SECRET = "only-for-verifying-" + "0123456789" * 4
PATIENCE = 60


class Wrong(Exception):
    """A check failed, with a message."""


def main(arguments: Sequence[str]) -> int:
    if arguments:
        print(f"{Path(sys.argv[0]).name} takes no arguments: {' '.join(arguments)}", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("Making a base image with debootstrap needs root.", file=sys.stderr)
        return 1
    try:
        install()
        with tempfile.TemporaryDirectory(prefix="post3-verify-") as directory, storage(Path(directory)):
            make_base(Path(directory))
            build(Path(directory))
            verify_embedded()
            verify_postgresql()
    except (Wrong, image.ImageFailed) as error:
        print(f"WRONG: {error}", file=sys.stderr)
        return 1
    print("passed")
    return 0


def run(*command: str, **arguments: Any) -> str:
    """Run a command and return its output. Raises Wrong if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **arguments)
    if done.returncode:
        raise Wrong(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def install() -> None:
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        print("installing", *missing, flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-q", env=environment)
        run("apt-get", "install", "-q", "-y", "--no-install-recommends", *missing, env=environment)
    for program in ("buildah", "podman", "runc"):
        print(f"{program}: {run(program, '--version').splitlines()[0]}")


@contextlib.contextmanager
def storage(directory: Path) -> Iterator[None]:
    """Make buildah and podman store everything below `directory`, with overlay if the kernel allows it, else copies."""
    for driver in ("overlay", "vfs"):
        path = directory / "storage.conf"
        places = f'graphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
        path.write_text(f'[storage]\ndriver = "{driver}"\n{places}')
        os.environ["CONTAINERS_STORAGE_CONF"] = str(path)
        with contextlib.suppress(Wrong):
            run("buildah", "info")
            print(f"storage: {driver}")
            break
        shutil.rmtree(directory / "graph", ignore_errors=True)
    else:
        raise Wrong("buildah can use neither overlay nor vfs here.")
    try:
        yield
    finally:
        for command in ((*PODMAN, "rm", "--all", "--force", "--time", "1"), ("buildah", "rm", "--all")):
            with contextlib.suppress(Wrong):
                run(*command)
        subprocess.run(["umount", "--recursive", "--quiet", f"{directory}/graph/overlay"], stderr=subprocess.DEVNULL)


def make_base(directory: Path) -> None:
    """Create an image named BASE from Debian's minimal system."""
    began, root = time.monotonic(), directory / "base"
    run("debootstrap", "--variant=minbase", "bookworm", str(root), mirror())
    for name in NOT_SLIM:
        shutil.rmtree(root / name, ignore_errors=True)
    # The sources are mounted while the image is built.
    (root / "etc/apt/sources.list").unlink()
    for path in (root / "var/lib/apt/lists").glob("*_*"):
        path.unlink()
    run("tar", "-C", str(root), "-cf", str(directory / "base.tar"), ".")
    run(*PODMAN, "import", "--quiet", str(directory / "base.tar"), BASE)
    shutil.rmtree(root)
    print(f"base: {size_of(BASE):.0f} MiB, made in {time.monotonic() - began:.0f} s", flush=True)


def mirror() -> str:
    """Return the URL of the Debian mirror that this machine's apt uses."""
    for line in run("apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)").splitlines():
        codename, _, address = line.partition(" ")
        # Security and updates are separate archives.
        if "-" not in codename:
            return address
    raise Wrong("apt names no mirror of Debian on this machine.")


def size_of(name: str) -> float:
    """Return an image's size in MiB."""
    return int(run(*PODMAN, "image", "inspect", "--format", "{{.Size}}", name)) / (1 << 20)


def build(directory: Path) -> None:
    """Build the image on BASE as the pipeline does, with this machine's access to apt's mirror and package index."""
    began, context = time.monotonic(), directory / "context"
    image.copy_context(context)
    os.environ["POST3_BASE_IMAGE"] = BASE
    options = ["--isolation", "chroot", "--pull-never", "--quiet"]
    for source, target in ways_out(directory).items():
        options += ["--volume", f"{source}:{target}:ro"]
    image.build(context, "buildah", options)
    print(f"image: {size_of('post3:latest'):.0f} MiB, built in {time.monotonic() - began:.0f} s", flush=True)


def ways_out(directory: Path) -> dict[Path, str]:
    """Return the files mounted only during the build: apt's sources, certificates, pip's configuration."""
    ways = directory / "ways"
    ways.mkdir()
    mounts = {Path("/etc/apt/sources.list.d"): "/etc/apt/sources.list.d", ways: "/ways"}
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", ways / "ca.crt")
    settings = [line for line in run("apt-config", "dump").splitlines() if line.startswith("Acquire::")]
    (ways / "apt.conf").write_text("\n".join([*settings, 'Acquire::https::CAInfo "/ways/ca.crt";', ""]))
    pip = {"cert": "/ways/ca.crt"}
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        if name.endswith((".index-url", ".extra-index-url", ".trusted-host")):
            pip[name.rsplit(".", 1)[1]] = value.strip("'")
    (ways / "pip.conf").write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in pip.items()))
    return {**mounts, ways / "apt.conf": "/etc/apt/apt.conf.d/99verify", ways / "pip.conf": "/etc/pip.conf"}


class Container:
    """A container of the image on this machine's network, restricted as in docker/compose.yaml."""

    def __init__(self, name: str, volume: Path, settings: dict[str, str]) -> None:
        self.name, self.port = name, free_port()
        volume.mkdir(exist_ok=True)
        shutil.chown(volume, 10001, 10001)
        addresses = {"POST3_HOST": f"127.0.0.1:{self.port}", "POST3_CONSOLE_HOST": f"127.0.0.1:{free_port()}"}
        variables = {**addresses, **settings}
        words = [word for pair in variables.items() for word in ("--env", "=".join(pair))]
        self._run = [*PODMAN, "run", *UNMANAGED, *CONFINED, "--volume", f"{volume}:/var/lib/post3", *words]

    def command(self, *arguments: str) -> str:
        """Run a manage.py command in a separate container and return its output."""
        return run(*self._run, "--rm", "post3:latest", *arguments)

    def start(self, *arguments: str) -> float:
        """Start the container. Return the seconds until it is ready."""
        began = time.monotonic()
        run(*self._run, "--detach", "--name", self.name, "post3:latest", *arguments)
        while not self.is_ready():
            if time.monotonic() > began + PATIENCE:
                raise Wrong(f"{self.name} is not ready:\n{self.log()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def log(self) -> str:
        done = subprocess.run([*PODMAN, "logs", self.name], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.stdout + done.stderr

    def stop(self) -> float:
        """Stop the container as compose does. Return the seconds this took. Raises Wrong if it had to be killed."""
        began = time.monotonic()
        run(*PODMAN, "stop", "--time", "40", self.name)
        took = time.monotonic() - began
        status = run(*PODMAN, "inspect", "--format", "{{.State.ExitCode}}", self.name).strip()
        if status != "0":
            raise Wrong(f"{self.name} ended with status {status}:\n{self.log()}")
        return took

    def exercise(self, access_key: str, secret_key: str) -> None:
        """Store and read objects. Check the health check, the user and the file system."""
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        s3.create_bucket(Bucket="verified")
        for key, body in {"small": b"body", "large": os.urandom(20 << 20)}.items():
            s3.put_object(Bucket="verified", Key=key, Body=body)
            if s3.get_object(Bucket="verified", Key=key)["Body"].read() != body:
                raise Wrong(f"{self.name}: {key} came back as something else")
        run(*PODMAN, "healthcheck", "run", self.name)
        user = run(*PODMAN, "exec", self.name, "id", "-u").strip()
        mount = run(*PODMAN, "exec", self.name, "grep", " / ", "/proc/mounts").split()[3]
        if user != "10001" or "ro" not in mount.split(","):
            raise Wrong(f"{self.name} runs as {user} on a root that is mounted {mount}")
        print(f"{self.name}: PUT and GET of 4 B and 20 MiB, health check, user {user}, root read-only", flush=True)


def verify_embedded() -> None:
    with tempfile.TemporaryDirectory(prefix="post3-volume-") as volume:
        Path(volume).chmod(0o755)
        container = Container("post3-embedded", Path(volume, "data"), {})
        took = container.start("serve")
        printed = dict(re.findall(r"^export (AWS_\w+)=(.+)$", container.log(), re.MULTILINE))
        print(f"serve on SQLite: ready after {took:.2f} s, with migrations and a first key")
        container.exercise(printed["AWS_ACCESS_KEY_ID"], printed["AWS_SECRET_ACCESS_KEY"])
        print(f"serve on SQLite: stopped in {container.stop():.2f} s")


def verify_postgresql() -> None:
    port = free_port()
    with own_cluster(port=port) as cluster, tempfile.TemporaryDirectory(prefix="post3-volume-") as volume:
        Path(volume).chmod(0o755)
        url = create_database(cluster.url)
        container = Container("post3-server", Path(volume, "data"), {"DATABASE_URL": url, "POST3_SECRET_KEY": SECRET})
        container.command("migrate", "--no-input")
        key = json.loads(container.command("create_api_key", "--user", "verifier", "--create-user", "--json"))
        print(f"gunicorn on PostgreSQL: ready after {container.start():.2f} s")
        container.exercise(key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"])
        container.command("run_worker", "--once")
        print("worker: one pass")
        print(f"gunicorn on PostgreSQL: stopped in {container.stop():.2f} s")


if __name__ == "__main__":
    run_program(main)
