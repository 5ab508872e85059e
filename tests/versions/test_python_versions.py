"""Every S3 operation, the worker and the storage check on each Python of this machine that post3 supports."""

import sys
from collections.abc import Callable

import pytest

from ..servers import Server
from . import pythons
from .smoke import check_the_store, every_operation, use_every_operation

FOUND = pythons.found()


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-blocks"])
@pytest.mark.parametrize("version", FOUND)
def test_every_operation_on_python(
    make_server: Callable[..., Server], capsys: pytest.CaptureFixture[str], version: str, kind: str
) -> None:
    python = FOUND[version]
    with capsys.disabled():
        print(f"[{'the only Python found' if len(FOUND) == 1 else 'Python'}: {version}, {python}]", end=" ")
    server = make_server(kind, python=python if str(python) == sys.executable else pythons.environment(python), fresh=True)
    assert use_every_operation(server.client(), "smoke") == every_operation()
    server.stop()
    check_the_store(server)
