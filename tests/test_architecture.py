"""The arrows of the architecture, by the imports in the source.

urls -> dispatch -> operations -> views -> services -> {models, storage}. Admin and commands go through services; the admin may
import models too, because registering a model is what Django's admin is; a command may, for a model's name and its DoesNotExist,
but asks no manager.

Two single modules stand lower than the part they are in: `models/rows.py` holds the plain values that services hand to views,
and `s3/checksums.py` arithmetic that has nothing to do with the wire.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "post3"
MAX_LINES = 330

#: Part of the app -> the parts it may import. A part may always import itself.
#: `declaring`, `conf` and `errors` stand below everything, `values` below all but them.
MAY_IMPORT: dict[str, set[str]] = {
    "declaring": set(),
    # How text is shown that others wrote.
    "visible": set(),
    "conf": {"console_host", "declaring"},
    "errors": set(),
    "values": set(),
    # What HTTP allows in a header.
    "header_fields": set(),
    # What breaks under all parts, and how often it is told.
    "outages": {"errors"},
    "apps": {"checks", "contrib"},
    "checks": {"conf", "console_host", "databases", "declaring", "origins", "storage"},
    # What every connection to the catalogue must be like.
    "databases": set(),
    # Where the console is: asked by whoever takes requests or answers them.
    "console_host": set(),
    "origins": {"conf", "console_host", "routing"},
    # Whose forwarding headers count; the handlers ask before anything reads a request.
    "proxies": {"conf"},
    # What is counted and noted of requests: below all that count, above nothing.
    "shared": set(),
    "counting": {"conf", "shared"},
    "observing": {"conf", "counting", "outages"},
    "exposition": {"__version__", "counting", "services"},
    "s3": {"conf", "errors", "values", "header_fields"},
    "storage": {"conf", "errors", "values", "models", "parking", "outages"},
    "models": {"conf", "errors", "values", "visible"},
    "services": {
        "conf",
        "errors",
        "values",
        "visible",
        "header_fields",
        "models",
        "migrations",
        "storage",
        "s3.checksums",
        "outages",
    },
    "views": {"conf", "errors", "values", "s3", "services", "models.rows", "exposition", "proxies", "origins"},
    "operations": {"conf", "errors", "values", "s3", "views", "services"},
    "dispatch": {
        "conf",
        "errors",
        "values",
        "s3",
        "operations",
        "services",
        "storage",
        "observing",
        "counting",
        "outages",
        "proxies",
        "origins",
    },
    "streams": {"conf", "errors", "values", "parking"},
    "parking": set(),
    "threads": {"parking"},
    "routing": set(),
    "starting": {"declaring"},
    "serving": set(),
    "ordered": set(),
    "answers": {"s3"},
    "pages": {"conf", "origins", "routing", "streams", "threads"},
    "around": {"conf", "origins", "pages", "proxies", "routing"},
    "protocol": {"answers", "bounds", "handlers", "streams", "observing", "proxies"},
    "handlers": {
        "answers",
        "starting",
        "conf",
        "errors",
        "values",
        "streams",
        "threads",
        "routing",
        "serving",
        "pages",
        "around",
        "s3",
        "storage.base",
        "dispatch",
        "observing",
        "counting",
        "outages",
        "proxies",
        "origins",
    },
    "bounds": {"conf", "errors", "ordered", "s3"},
    "urls": {"dispatch", "probe_urls"},
    "probe_urls": {"views"},
    "console_urls": {"admin"},
    "console_origin_urls": {"origins", "probe_urls"},
    "admin": {"conf", "errors", "values", "visible", "models", "services"},
    "management": {
        "conf",
        "errors",
        "values",
        "visible",
        "services",
        "models",
        "storage",
        "handlers",
        "checks",
        "console_host",
        "databases",
        "origins",
        "server_process",
    },
    "server_process": set(),
    "migrations": {"models", "conf"},
    # A client: nothing of the server's, and so nothing of Django.
    "sdk": {"__version__"},
    # What a Django project uses of the app: a front like the views, in the project's own process.
    "contrib": {"conf", "declaring", "errors", "values", "s3", "services", "models.rows", "storage.base"},
    # Stands by itself: other projects' pytest imports it at start.
    "pytest_plugin": set(),
}


def sources(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: Path) -> list[str]:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (absolute dotted name of what is imported, line) of every import of the app's own modules."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{name}.{alias.name}", node.lineno) for alias in node.names)


def part_of(name: str) -> str | None:
    """Return the part of the app that a dotted name belongs to: `post3.s3.sigv4` -> `s3`."""
    parts = name.split(".")
    return parts[1] if parts[0] == "post3" and len(parts) > 1 else None


@pytest.mark.parametrize("path", sources(APP), ids=lambda path: str(path.relative_to(APP)))
def test_imports_follow_the_arrows(path: Path) -> None:
    here = part_of(".".join(module_of(path)))
    if here is None:  # post3/__init__.py
        assert not [name for name, _ in imports(path) if name.startswith("post3")]
        return
    assert here in MAY_IMPORT, f"{here} is no part of the architecture; give it its place in MAY_IMPORT"
    wrong = [
        f"line {line}: {name}"
        for name, line in imports(path)
        if (part := part_of(name)) not in (None, here) and not {part, ".".join(name.split(".")[1:3])} & MAY_IMPORT[here]
    ]
    assert not wrong, f"{here} may import {sorted(MAY_IMPORT[here])} only"


def test_the_app_knows_nothing_of_the_site() -> None:
    found = [
        f"{path}:{line}" for path in sources(APP) for name, line in imports(path) if name.split(".")[0] in ("post3_site", "tests")
    ]
    assert not found


def test_only_the_database_storage_touches_blocks() -> None:
    storage = {APP / "storage" / name for name in ("database.py", "vacuum.py")}
    allowed = {*storage, *sources(APP / "models"), *sources(APP / "migrations")}
    found = []
    for path in set(sources(APP)) - allowed:
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        if "Block" in names or any("post3_block" in text for text in texts):
            found.append(str(path))
    assert not found


def test_only_the_settings_read_the_environment() -> None:
    # The SDK is no part of a server: its environment is the caller's. The plugin runs in other projects' tests, and hands their
    # environment on to a server of its own.
    allowed = {ROOT / "post3_site" / "settings.py", APP / "sdk" / "connection.py", APP / "pytest_plugin.py"}
    found = []
    for path in [*sources(APP), *sources(ROOT / "post3_site"), ROOT / "manage.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv") and path not in allowed:
                found.append((path, node.lineno))
    # Telling Django which settings to read, or children where to listen, is writing, not reading.
    writing = re.compile(r"environ\.(setdefault|update)\(")
    found = [(path, line) for path, line in found if not writing.search(path.read_text().splitlines()[line - 1])]
    assert not found


def test_commands_ask_no_manager() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sources(APP / "management")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "objects"
    ]
    assert not found


def test_views_are_one_function_per_operation() -> None:
    """Every operation in the table is AWS's name in snake_case, defined once in the whole app's views."""
    table = ast.parse((APP / "operations.py").read_text())
    views = {path.stem for path in sources(APP / "views")}
    named = {
        node.attr for node in ast.walk(table) if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in views
    }
    assert named, "operations.py names no view"
    defined: dict[str, list[str]] = {}
    for path in sources(APP / "views"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defined.setdefault(node.name, []).append(path.name)
    wrong = {name: defined.get(name, []) for name in named if len(defined.get(name, [])) != 1}
    assert not wrong


@pytest.mark.parametrize("directory", ["post3", "post3_site", "tests"])
def test_files_are_short(directory: str) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources(ROOT / directory)}
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES and "/migrations/" not in path}
