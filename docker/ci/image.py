"""Build the container image: `python3 docker/ci/image.py [--image auto|yes|no]`.

First the build context is assembled from the files that docker/Dockerfile.dockerignore admits, checked against the
Dockerfile's COPY lines, and stored as dist/post3-<version>-context.tar.gz, from which the image can be built elsewhere:

    docker build -f docker/Dockerfile -t post3 - < dist/post3-0.1.0-context.tar.gz

Then the image is built from it with docker, podman or buildah, whichever works first. POST3_BASE_IMAGE sets a base
other than debian:bookworm-slim; it must be a Debian bookworm.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from steps import ARTEFACTS, ROOT

DOCKERFILE = "docker/Dockerfile"
#: Programs that build from a Dockerfile -> the words before the options that all three share, and a command that fails
#: if the program is installed but cannot work. Health checks are in Docker's format, not in the OCI format.
BUILDERS = {
    "docker": (["docker", "build"], ["docker", "info"]),
    "podman": (["podman", "build", "--format", "docker"], ["podman", "info"]),
    "buildah": (["buildah", "build", "--format", "docker"], ["buildah", "info"]),
}


class ImageFailed(Exception):
    """The context lacks a file, there is no builder, or the builder failed. The message says which."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Build the container image.")
    parser.add_argument("--image", choices=["auto", "yes", "no"], default="auto", help="auto: where a builder is")
    wanted = parser.parse_args(arguments).image
    try:
        with tempfile.TemporaryDirectory(prefix="post3-image-") as directory:
            context = Path(directory)
            copy_context(context)
            print(f"context: {write_archive(context).relative_to(ROOT)}", flush=True)
            if wanted == "no":
                return 0
            builder = find_builder()
            if builder is None and wanted == "auto":
                print(
                    "image: not built, because neither docker nor podman nor buildah works here (--image yes: fail)", flush=True
                )
                return 0
            if builder is None:
                raise ImageFailed("Neither docker nor podman nor buildah works here, so the image cannot be built.")
            print(f"image: {build(context, builder)}, by {builder}", flush=True)
    except ImageFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def version() -> str:
    """Return post3's version without importing post3."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "post3" / "__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise ImageFailed("post3/__init__.py tells no __version__.")
    return found[1]


def revision() -> str:
    """Return the commit of the tree, or `unknown` if the tree is not a clone."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def build_arguments() -> dict[str, str]:
    """Return the Dockerfile's build arguments."""
    base = os.environ.get("POST3_BASE_IMAGE", "")
    return {"VERSION": version(), "REVISION": revision(), **({"BASE_IMAGE": base} if base else {})}


def context_files() -> Iterator[Path]:
    """Yield the files that the ignore file includes and does not exclude, relative to the root."""
    lines = [line for line in (ROOT / f"{DOCKERFILE}.dockerignore").read_text().splitlines() if line and line[0] != "#"]
    shut_out = [line.removeprefix("**/") for line in lines if line[0] != "!" and line != "*"]
    for name in sorted(line[1:] for line in lines if line[0] == "!"):
        place = ROOT / name
        if not place.exists():
            raise ImageFailed(f"{DOCKERFILE}.dockerignore lets {name} in, which is not there.")
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            relative = path.relative_to(ROOT)
            if path.is_file() and not any(Path(part).match(pattern) for part in relative.parts for pattern in shut_out):
                yield relative


def copied() -> list[str]:
    """Return the paths that the Dockerfile copies from the context."""
    text = (ROOT / DOCKERFILE).read_text().replace("\\\n", " ")
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
    return [source for words in lines if not words[0].startswith("--from=") for source in words[:-1]]


def copy_context(target: Path) -> None:
    """Copy the build context and the Dockerfile into a directory. Raise ImageFailed if a COPY would find nothing."""
    for relative in [*context_files(), Path(DOCKERFILE)]:
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / relative, target / relative)
    if missing := [source for source in copied() if not (target / source).exists()]:
        raise ImageFailed(f"The Dockerfile copies {missing[0]}, which the build context does not have.")


def write_archive(context: Path) -> Path:
    """Write the context into an archive in ARTEFACTS and return its path."""
    target = ROOT / ARTEFACTS / f"post3-{version()}-context.tar.gz"
    target.parent.mkdir(exist_ok=True)
    with tarfile.open(target, "w:gz") as archive:
        archive.add(context, arcname=".", filter=_as_root)
    return target


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def find_builder() -> str | None:
    """Return the first of BUILDERS that works here, or None."""
    for name, (_, probe) in BUILDERS.items():
        if not shutil.which(name):
            continue
        try:
            if subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0:
                return name
        except (OSError, subprocess.TimeoutExpired):
            continue
    return None


def build(context: Path, builder: str, options: Sequence[str] = ()) -> str:
    """Build the image from that directory and return its name. Raise ImageFailed if that fails."""
    name = f"post3:{version()}"
    words = [f"{key}={value}" for key, value in build_arguments().items()]
    arguments = [word for pair in words for word in ("--build-arg", pair)]
    command = [*BUILDERS[builder][0], *options, "-f", DOCKERFILE, "-t", name, "-t", "post3:latest", *arguments, "."]
    print(f"$ {shlex.join(command)}", flush=True)
    try:
        # BuildKit's ignore file is not in the context, because nothing is left to ignore.
        subprocess.run(command, cwd=context, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImageFailed(f"The image could not be built: {error}") from None
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
