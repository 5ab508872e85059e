"""The README tells the truth about operations: both of its lists are those of `operations.py`."""

import re
from pathlib import Path

from post3 import operations

README = (Path(__file__).parent.parent / "README.md").read_text()


def _names(implemented: bool) -> set[str]:
    rows = [row for table in (operations.SERVICE, operations.BUCKET, operations.OBJECT) for row in table.values()]
    done = {row.name for row in rows if row.view is not None}
    return done if implemented else {row.name for row in rows} - done


def test_readme_lists_the_implemented_operations() -> None:
    table = README.split("| implemented | |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| (\w+) \|", table, re.MULTILINE)) == _names(implemented=True)


def test_readme_lists_the_operations_that_are_not_implemented() -> None:
    text = README.split("<!-- not implemented -->")[1].split("<!-- end -->")[0].split(":", 1)[1]
    assert set(re.findall(r"\w+", text)) == _names(implemented=False)
