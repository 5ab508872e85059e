"""Citations of S3's behaviors: those in the code are in `docs/s3-behaviours.md`, and a test cites each of them, too."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CITED = re.compile(r"\bB(\d{3})\b(?: to B(\d{3})\b)?")
_STATED = re.compile(r"^\*\*B(\d{3})\*\*", re.MULTILINE)


def cited(directory: str) -> dict[int, set[str]]:
    """Return the numbers that Python files cite, with those files. "B037 to B040" cites four."""
    found: dict[int, set[str]] = {}
    for path in sorted((ROOT / directory).rglob("*.py")):
        for first, last in _CITED.findall(path.read_text()):
            for number in range(int(first), int(last or first) + 1):
                found.setdefault(number, set()).add(str(path.relative_to(ROOT)))
    return found


def stated() -> list[int]:
    return [int(number) for number in _STATED.findall((ROOT / "docs" / "s3-behaviours.md").read_text())]


def named(numbers: dict[int, set[str]]) -> dict[str, set[str]]:
    return {f"B{number:03}": files for number, files in sorted(numbers.items())}


def test_facts_are_numbered_once() -> None:
    numbers = stated()
    assert numbers and len(numbers) == len(set(numbers))


def test_facts_that_code_and_tests_cite_are_stated() -> None:
    known = set(stated())
    for directory in ("post3", "tests"):
        assert not named({number: files for number, files in cited(directory).items() if number not in known})


def test_facts_that_the_code_cites_are_cited_by_a_test() -> None:
    tested = cited("tests")
    assert not named({number: files for number, files in cited("post3").items() if number not in tested})
