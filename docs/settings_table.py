"""The tables of settings in docs/settings.md and README.md, made from their declarations: `make settings` writes them.

A test compares them, so that a setting cannot be declared and stay undocumented.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README, SETTINGS = ROOT / "README.md", ROOT / "docs" / "settings.md"
sys.path.insert(0, str(ROOT))

from post3.conf import Settings  # noqa: E402
from post3.declaring import Setting, declared  # noqa: E402
from post3_site.conf import SiteSettings  # noqa: E402
from post3_site.environment import CONVERT  # noqa: E402

BEGIN, END = "<!-- settings: made by `make settings` -->\n", "<!-- end of settings -->"
UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def pages() -> dict[Path, str]:
    """Return what each page with a table should be."""
    settings = [setting for owner in (SiteSettings, Settings) for setting in declared(owner) if setting.kind in CONVERT]
    short = [("variable", "default", "meaning"), *(_cells(setting) for setting in settings if setting.basic)]
    full = [("variable", "default", "range", "meaning"), *(_cells(setting, _range(setting)) for setting in settings)]
    return {page: _with_table(page.read_text(), rows) for page, rows in {README: short, SETTINGS: full}.items()}


def _with_table(page: str, rows: list[tuple[str, ...]]) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [f"| {' | '.join(row)} |\n" for row in [rows[0], ("---",) * len(rows[0]), *rows[1:]]]
    return f"{before}{BEGIN}\n{''.join(lines)}\n{END}{after}"


def _cells(setting: Setting, *between: str) -> tuple[str, ...]:
    return f"`{setting.name}`", setting.shown or _default(setting), *between, setting.help.replace("|", "\\|")


def _default(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return _size(setting, value)
    text = ",".join(value) if isinstance(value, list) else value
    return f"`{text}`" if text else ""


def _range(setting: Setting) -> str:
    if setting.kind is bool:
        return "0, 1"
    if setting.kind in (int, float):
        least = _size(setting, setting.minimum or 0)
        return f"{least} or more" if setting.maximum is None else f"{least} to {_size(setting, setting.maximum)}"
    return ", ".join(f"`{choice}`" for choice in setting.choices)


def _size(setting: Setting, value: float) -> str:
    """Return a number as people write it: `16 KiB` as what must be written, 16384, with its meaning behind it."""
    if "bytes" in setting.help.split()[:1]:
        for unit, size in UNITS:
            if value >= size and value % size == 0:
                return f"{value:g} ({value // size:g} {unit})" if value < 1e6 else f"{value:.0f} ({value // size:.0f} {unit})"
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
