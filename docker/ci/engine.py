"""Run steps in a Dagger engine: each in a separate container, with a PostgreSQL service if it needs one.

dagger-io is imported only if there is an engine, so that without one the pipeline needs only Python.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steps import ARTEFACTS, ROOT, Step

if TYPE_CHECKING:
    import dagger

#: Debian with Python 3.11 and a PostgreSQL server for the tests that break one. The service has the same version,
#: because dumps are made by that machine's pg_dump.
MACHINE, DATABASE = "debian:bookworm", "postgres:15-bookworm"
PACKAGES = "ca-certificates gcc git libc6-dev make nginx-light npm postgresql python3 python3-venv strace"
#: Generated parts of the tree.
LEFT_OUT = [
    ".venv",
    "var",
    "build",
    ARTEFACTS,
    "**/__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".coverage*",
    "docker/.env",
]
SOURCE = "/source"


class EngineFailed(Exception):
    """The engine could not be reached, or a step failed in it. The message says which."""


def is_wanted(runner: str) -> bool:
    """Return whether to run in an engine: `dagger` and `native` decide it, `auto` detects one.

    Raise EngineFailed if an engine is required and dagger-io is missing.
    """
    if runner == "native" or (runner == "auto" and not _is_there()):
        return False
    if importlib.util.find_spec("dagger") is None:
        advice = f"dagger-io is not installed: {sys.executable} -m pip install -r docker/ci/requirements.txt"
        if runner == "dagger":
            raise EngineFailed(advice)
        print(f"There is a Dagger engine, but {advice}", flush=True)
        return False
    return True


def _is_there() -> bool:
    """Return whether this runs under `dagger run`, or can start an engine with the CLI and a Docker daemon."""
    if os.environ.get("DAGGER_SESSION_PORT") or os.environ.get("_EXPERIMENTAL_DAGGER_RUNNER_HOST"):
        return True
    if not (shutil.which("dagger") and shutil.which("docker")):
        return False
    try:
        return subprocess.run(["docker", "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def run(steps: Sequence[Step]) -> None:
    """Run the steps one after the other. Raise EngineFailed if one fails."""
    # Otherwise the SDK downloads its own CLI.
    if cli := shutil.which("dagger"):
        os.environ.setdefault("_EXPERIMENTAL_DAGGER_CLI_BIN", cli)
    import anyio  # a dependency of dagger-io

    anyio.run(_run, steps)


async def _run(steps: Sequence[Step]) -> None:
    import dagger

    try:
        async with dagger.connection(dagger.Config(log_output=sys.stderr)):
            source = dagger.dag.host().directory(str(ROOT), exclude=LEFT_OUT)
            for step in steps:
                print(f"=== {step.name}: {step.meaning}", flush=True)
                began = time.monotonic()
                try:
                    await (_build_image(source) if step.image else _run_commands(step, source))
                except dagger.QueryError as error:
                    raise EngineFailed(f"{step.name} failed: {error}") from None
                print(f"=== {step.name}: done in {time.monotonic() - began:.1f} s", flush=True)
    except dagger.DaggerError as error:
        raise EngineFailed(f"the Dagger engine cannot be used: {error}") from None


async def _run_commands(step: Step, source: "dagger.Directory") -> None:
    machine = _machine(source)
    if step.database:
        machine = _with_database(machine)
    for command in step.commands:
        machine = machine.with_exec(list(command))
    if step.makes:
        await machine.directory(f"{SOURCE}/{ARTEFACTS}").export(str(ROOT / ARTEFACTS))
    else:
        await machine.sync()


def _machine(source: "dagger.Directory") -> "dagger.Container":
    """Return a container with the tree and the Debian packages that its Makefile and its tests need."""
    from dagger import dag

    install = f"apt-get update -q && apt-get install -q -y --no-install-recommends {PACKAGES}"
    return (
        dag.container()
        .from_(MACHINE)
        .with_env_variable("DEBIAN_FRONTEND", "noninteractive")
        .with_exec(["sh", "-c", install])
        .with_mounted_cache("/root/.cache/pip", dag.cache_volume("post3-pip"))
        .with_directory(SOURCE, source)
        .with_workdir(SOURCE)
        .with_env_variable("CI", "true")
    )


def _with_database(machine: "dagger.Container") -> "dagger.Container":
    """Return the container with a PostgreSQL service, whose URL is in the tests' environment."""
    from dagger import dag

    variables: dict[str, Any] = {"POSTGRES_USER": "post3", "POSTGRES_PASSWORD": "post3", "POSTGRES_DB": "postgres"}
    database = dag.container().from_(DATABASE)
    for name, value in variables.items():
        database = database.with_env_variable(name, value)
    # Several servers with 20 connections each run at the same time.
    arguments = ["docker-entrypoint.sh", "postgres", "-c", "max_connections=400"]
    service = database.with_exposed_port(5432).as_service(args=arguments)
    url = "postgresql://post3:post3@postgresql:5432/postgres"
    return machine.with_service_binding("postgresql", service).with_env_variable("POST3_TEST_POSTGRESQL_URL", url)


async def _build_image(source: "dagger.Directory") -> None:
    import dagger
    import image

    arguments = [dagger.BuildArg(name=name, value=value) for name, value in image.build_arguments().items()]
    built = source.docker_build(dockerfile=image.DOCKERFILE, build_args=arguments)
    target = ROOT / ARTEFACTS / f"post3-{image.version()}-image.tar"
    target.parent.mkdir(exist_ok=True)
    await built.export(str(target))
    print(f"image: {target.relative_to(ROOT)}", flush=True)
