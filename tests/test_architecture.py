"""The allowed dependencies between the rooms of the app, checked against the imports in the source.

server -> api -> services -> {descriptions, catalogue, storage} -> {models, db}, and api and services -> access. The
console, commands and contrib are on the same level as api. A room is the package of that name. Some modules have their
own rules.
"""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "post3"
MAX_LINES = 330

#: Every room may import these.
FOUNDATION = {"checksums", "conf", "declaring", "errors", "values", "visible", "console_host"}
#: Room, or module of a room -> the rooms and modules that it may import, besides the foundation and itself.
MAY_IMPORT: dict[str, set[str]] = {
    "checksums": set(),
    "declaring": set(),
    "visible": set(),
    "errors": set(),
    "values": set(),
    "console_host": set(),
    "conf": set(),
    # Below everything that waits or records.
    "db": set(),
    "threads": set(),
    "telemetry": {"db"},
    "web": set(),
    # The protocol: no models, no storage.
    "s3": {"web.header_fields"},
    "models": {"db"},
    "migrations": {"models"},
    "catalogue": {"db", "models"},
    "catalogue.schema": {"models", "migrations"},
    "storage": {"db"},
    "access": {"catalogue", "db", "models"},
    "descriptions": {"access", "catalogue", "models", "storage", "s3.names", "web.header_fields"},
    # Meaning rather than protocol: from `s3`, only names.
    "services": {
        "access",
        "catalogue",
        "db",
        "descriptions",
        "models",
        "storage",
        "threads",
        "s3.names",
        "web.header_fields",
    },
    "maintenance": {"access", "catalogue", "db", "descriptions", "models", "services", "storage"},
    # The data read by metrics and health checks is next to the recorded data.
    "telemetry.catalogue_figures": {"db", "models", "storage"},
    "telemetry.readiness": {"catalogue", "db", "models", "services", "storage"},
    "telemetry.prometheus": {"__version__", "telemetry"},
    "telemetry.metrics": {"telemetry", "web"},
    "telemetry.health": {"telemetry", "web"},
    "api": {
        "access",
        "catalogue.attributes",
        "catalogue.buckets",
        "catalogue.rows",
        "db.outages",
        "s3",
        "services",
        "storage.base",
        "telemetry",
        "web",
    },
    "server": {"api", "db.outages", "s3", "storage.base", "telemetry", "threads", "web"},
    "admin": {"access", "api.probe_urls", "catalogue", "models", "services", "web"},
    "contrib": {"access", "catalogue", "s3", "services", "storage.base"},
    "management": {
        "access",
        "catalogue",
        "checks",
        "db",
        "maintenance",
        "models",
        "server",
        "services",
        "storage",
        "telemetry",
        "web",
    },
    "checks": {"db", "storage", "web"},
    "apps": {"checks", "contrib"},
    "urls": {"api"},
    "console_urls": {"admin"},
    "handlers": {"server"},
    # A client: nothing from the server, and therefore nothing from Django.
    "sdk": {"__version__"},
    # Independent, because pytest of other projects imports it at startup.
    "pytest_plugin": set(),
}


def sources(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*.py") if "__pycache__" not in path.parts)


def module_of(path: Path) -> list[str]:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (absolute dotted name, line) of every import of the app's own modules."""
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


def allowed_to(module: list[str]) -> set[str]:
    """Return the modules that a module may import, by its own rule or its room's."""
    own = ".".join(module[1:3])
    return MAY_IMPORT[own if own in MAY_IMPORT else module[1]] | FOUNDATION


@pytest.mark.parametrize("path", sources(APP), ids=lambda path: str(path.relative_to(APP)))
def test_imports_follow_the_arrows(path: Path) -> None:
    module = module_of(path)
    if len(module) == 1:  # post3/__init__.py
        assert not [name for name, _ in imports(path) if name.startswith("post3")]
        return
    assert module[1] in MAY_IMPORT, f"{module[1]} is not a room of the architecture; add it to MAY_IMPORT"
    may_import = allowed_to(module)
    wrong = [
        f"line {line}: {name}"
        for name, line in imports(path)
        if (part := part_of(name)) not in (None, module[1]) and not {part, ".".join(name.split(".")[1:3])} & may_import
    ]
    assert not wrong, f"{'.'.join(module[1:])} may import {sorted(may_import)} only"


def test_no_rooms_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in sources(APP):
        here = part_of(".".join(module_of(path)))
        arrows.setdefault(str(here), set()).update(
            part for name, _ in imports(path) if (part := part_of(name)) not in (None, here, "__version__")
        )
    TopologicalSorter(arrows).prepare()  # raises CycleError


def test_the_top_of_the_app_contains_only_its_foundation_and_entry_points() -> None:
    entries = {"__init__", "apps", "checks", "handlers", "urls", "console_urls", "pytest_plugin"}
    assert {path.stem for path in APP.glob("*.py")} == FOUNDATION | entries


def test_the_app_knows_nothing_of_the_site() -> None:
    found = [
        f"{path}:{line}" for path in sources(APP) for name, line in imports(path) if name.split(".")[0] in ("post3_site", "tests")
    ]
    assert not found


def test_only_the_database_storage_touches_blocks() -> None:
    rooms = ("storage/database", "models", "catalogue", "migrations")
    allowed = {path for room in rooms for path in sources(APP / room)}
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
    # The SDK is not part of a server: its environment is the caller's. The plugin runs in the tests of other projects,
    # and passes their environment to its own server.
    allowed = {ROOT / "post3_site" / "settings.py", APP / "sdk" / "connection.py", APP / "pytest_plugin.py"}
    found = []
    for path in [*sources(APP), *sources(ROOT / "post3_site"), ROOT / "manage.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv") and path not in allowed:
                found.append((path, node.lineno))
    # Setting Django's settings module, or the addresses of child processes, is writing, not reading.
    writing = re.compile(r"environ\.(setdefault|update)\(")
    found = [(path, line) for path, line in found if not writing.search(path.read_text().splitlines()[line - 1])]
    assert not found


def test_an_id_of_a_system_check_belongs_to_one_module() -> None:
    modules: dict[str, set[str]] = {}
    for path in [*sources(APP), *sources(ROOT / "post3_site")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"post3\.[EW]\d+", node.value):
                modules.setdefault(node.value, set()).add(str(path.relative_to(ROOT)))
    assert "post3.E001" in modules
    assert {check_id: paths for check_id, paths in modules.items() if len(paths) > 1} == {}


def test_commands_use_no_manager() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sources(APP / "management")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "objects"
    ]
    assert not found


def test_views_are_one_function_per_operation() -> None:
    """Every operation in the table has AWS's name in snake_case, and is defined exactly once among the app's views."""
    table = ast.parse((APP / "api" / "operations.py").read_text())
    views = {path.stem for path in sources(APP / "api" / "views")}
    named = {
        node.attr for node in ast.walk(table) if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in views
    }
    assert named, "operations.py names no view"
    defined: dict[str, list[str]] = {}
    for path in sources(APP / "api" / "views"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defined.setdefault(node.name, []).append(path.name)
    wrong = {name: defined.get(name, []) for name in named if len(defined.get(name, [])) != 1}
    assert not wrong


@pytest.mark.parametrize("directory", ["post3", "post3_site", "tests"])
def test_files_are_short(directory: str) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources(ROOT / directory)}
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES and "/migrations/" not in path}


def test_an_attribute_that_clients_give_is_declared_once() -> None:
    """Besides its column, only its declaration names it.

    A new one changes the model, a migration and the declaration.
    """
    rooms = [
        path for room in ("api", "catalogue", "descriptions", "maintenance", "s3", "services") for path in sources(APP / room)
    ]
    declaration = APP / "catalogue" / "attributes.py"
    for name in ("content_language", "Content-Language", "content-language", "content_disposition", "Content-Disposition"):
        found = {path for path in rooms if re.search(rf"(?<!response-){name}", path.read_text())}
        assert found <= {declaration}, name
    assert "content_language" in declaration.read_text()


def test_sql_statements_are_in_the_catalogue() -> None:
    """Services, maintenance, access and descriptions contain no SQL."""
    rooms = [path for room in ("access", "descriptions", "maintenance", "services") for path in sources(APP / room)]
    sql = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE INDEX)\s+[a-z*%(1]")
    found = []
    for path in rooms:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and sql.search(node.value):
                found.append(f"{path.relative_to(APP)}:{node.lineno}")
    # While a disk is checked, the process keeps the names found in a private table.
    assert [place for place in found if not place.startswith("maintenance/orphans.py")] == []


def texts_of(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string constants of a module, without its docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def test_only_rooms_that_speak_http_name_its_headers() -> None:
    """Services and what is below them raise errors with plain values; `errors.py`, `s3` and `api` write headers.

    `catalogue/attributes.py` declares the header that carries each attribute.
    """
    names = re.compile(
        r"(?i:x-amz-|\bcontent-[a-z]|\bif-(?:match|none-match|modified|unmodified|range)|last-modified|retry-after|cache-control)"
        r"|\bETag\b"
    )
    found = []
    for room in ("access", "catalogue", "db", "descriptions", "maintenance", "models", "services", "storage", "threads"):
        for path in sources(APP / room):
            texts = texts_of(ast.parse(path.read_text()))
            found += [f"{path.relative_to(APP)}:{text.lineno}" for text in texts if names.search(text.value)]
    assert [place for place in found if not place.startswith("catalogue/attributes.py")] == []
