"""The wheel, built once, and an environment that contains nothing else from this checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from ..servers import ROOT

#: The sources of the wheel. They are copied, so that the build writes nothing into the checkout.
SOURCES = ("post3", "post3_site", "pyproject.toml", "README.md", "LICENSE")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, place / "source" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    # Without isolation, nothing is downloaded: requirements/dev.txt contains a pinned setuptools.
    run_pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place), str(place / "source"))
    (made,) = place.glob("post3-*.whl")
    return made


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` directory of a new environment with the wheel and the packages of this environment."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run_pip("--python", str(place / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    return place / "bin"


def run_pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def clean(environment: Path) -> dict[str, str]:
    """The environment variables of a user outside any checkout, without settings of post3."""
    dropped = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTEST_CURRENT_TEST")
    values = {name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("POST3_")}
    return {**values, "PATH": f"{environment}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def run(environment: Path, clean: dict[str, str], tmp_path: Path) -> Run:
    """Run a program of the environment in an empty directory."""

    def call(name: str, *arguments: str, **options: str) -> "subprocess.CompletedProcess[str]":
        command = [str(environment / name), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**clean, **options}, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    return call
