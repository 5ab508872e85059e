"""The README matches the code: its operations are those of `api/operations.py`, its settings the declared ones."""

import re
import runpy
from pathlib import Path

from post3.api import operations

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


def test_the_tables_of_settings_are_generated_from_the_declarations() -> None:
    made = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "settings_table.py"))["pages"]()
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "run `make settings`"
    assert "`POST3_THREADS`" in README


def test_every_setting_that_a_page_names_exists() -> None:
    from post3.conf import Settings
    from post3.declaring import declared, misspelt
    from post3_site.conf import SiteSettings

    known = {setting.name for owner in (SiteSettings, Settings) for setting in declared(owner)}
    for page in [Path(__file__).parent.parent / "README.md", *(Path(__file__).parent.parent / "docs").glob("*.md")]:
        assert not list(misspelt(re.findall(r"POST3_[A-Z_]+\b", page.read_text()), known)), page
