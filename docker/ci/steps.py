"""The steps of the pipeline, defined once. `native.py` and `engine.py` run them."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The directory below the root in which steps store their results.
ARTEFACTS = "dist"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: commands that run one after the other in the root of the tree. The first failure ends the step."""

    name: str
    meaning: str
    commands: tuple[tuple[str, ...], ...]
    #: The step needs a PostgreSQL. `python -m tests` starts one unless POST3_TEST_POSTGRESQL_URL names a service.
    database: bool = False
    #: The step stores results in ARTEFACTS.
    makes: bool = False
    #: The step builds the container image. An engine builds the Dockerfile itself and does not run the commands.
    image: bool = False


class UnknownStep(Exception):
    """There is no step of that name. The message lists the steps."""


#: Tests of what differs between versions of Python and PostgreSQL: statements, wire, streams. The `test` step runs them
#: all.
COMPATIBILITY = "tests/contrib tests/models tests/operations tests/s3 tests/sdk tests/services tests/storage"

STEPS = (
    Step("check", "format, lint, types, Django's checks, migrations", (("make", "check"),)),
    Step("test", "every test, on SQLite and PostgreSQL", (("make", "test"),), database=True),
    Step(
        "compatibility",
        "the tests that depend on Python and PostgreSQL",
        (("make", "test", f"ARGS={COMPATIBILITY}"),),
        database=True,
    ),
    Step(
        "build",
        f"the wheel, in {ARTEFACTS}/",
        (
            ("make", ".venv/.base"),
            # Files of an earlier build would be included in this one.
            ("rm", "-rf", "build"),
            (".venv/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", ARTEFACTS, "."),
        ),
        makes=True,
    ),
    Step(
        "package",
        f"the container image, and its build context in {ARTEFACTS}/",
        (("python3", "docker/ci/image.py"),),
        makes=True,
        image=True,
    ),
)

PIPELINES = {
    "pr": ("check", "test", "build"),
    "main": ("check", "test", "build", "package"),
    "matrix": ("compatibility",),
}


def choose(names: tuple[str, ...] | list[str]) -> list[Step]:
    """Return the steps with these names, in this order. Raise UnknownStep if there is none with a name."""
    known = {step.name: step for step in STEPS}
    if unknown := [name for name in names if name not in known]:
        raise UnknownStep(f"There is no step {unknown[0]!r}; the steps are {', '.join(known)}.")
    return [known[name] for name in names]
