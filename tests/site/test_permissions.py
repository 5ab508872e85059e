"""Only the site's user can read its files, which contain password hashes and objects, whatever the umask."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from post3.storage.filesystem.storage import FilesystemStorage
from post3_site.sqlite3.base import keep_private

from ..servers import Server

MIB = 1 << 20


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of this process and the processes that it starts."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def use(server: Server) -> None:
    """Make the server write files of all kinds."""
    s3 = server.client()
    s3.create_bucket(Bucket="bkt")
    for key, size in (("small", 10), ("large", 3 * MIB)):
        s3.put_object(Bucket="bkt", Key=key, Body=bytes(size), Metadata={"a": "b"})
    upload = s3.create_multipart_upload(Bucket="bkt", Key="parts")["UploadId"]
    s3.upload_part(Bucket="bkt", Key="parts", UploadId=upload, PartNumber=1, Body=bytes(6 * MIB))
    server.manage("run_worker", "--once")


def open_to_others(directory: Path) -> dict[str, str]:
    """Return the paths and modes of everything that others can access."""
    found = [directory, *directory.rglob("*")]
    return {str(path): oct(mode) for path in found if (mode := mode_of(path)) != (0o700 if path.is_dir() else 0o600)}


@pytest.mark.parametrize("runner", ["uvicorn", "gunicorn-wsgi"])
def test_all_files_are_the_owners_alone(make_server: Callable[..., Server], umask: int, runner: str) -> None:
    server = make_server("sqlite-files", runner=runner, fresh=True)
    use(server)
    var = server.data_dir / "var"
    assert {path.name for path in var.iterdir()} >= {
        "catalogue.sqlite3",
        "catalogue.sqlite3-wal",
        "catalogue.sqlite3-shm",
        "objects",
    }
    assert open_to_others(var) == {}
    if runner.startswith("gunicorn"):
        counts = Path(tempfile.gettempdir(), f"post3-metrics-{os.geteuid()}-{server.host}-{server.port}")
        assert list(counts.iterdir()) and open_to_others(counts) == {}
    server.stop()


def test_catalogue_in_a_directory_that_is_open_to_all(make_server: Callable[..., Server], umask: int, tmp_path: Path) -> None:
    var = tmp_path / "open"
    var.mkdir()
    var.chmod(0o755)
    server = make_server("sqlite-files", environment={"POST3_DATA_DIR": str(var), "POST3_SECRET_KEY": ""}, fresh=True)
    use(server)
    assert set(open_to_others(var)) == {str(var)}, "the operator's own directory, and nothing else"
    assert mode_of(var) == 0o755
    server.stop()


def test_catalogue_named_by_a_url(make_server: Callable[..., Server], umask: int, tmp_path: Path) -> None:
    server = make_server("sqlite-files", environment={"DATABASE_URL": f"sqlite:///{tmp_path}/named.db"}, fresh=True)
    use(server)
    modes = {path.name: mode_of(path) for path in tmp_path.glob("named.db*")}
    assert modes == dict.fromkeys(("named.db", "named.db-wal", "named.db-shm", "named.db-reserve"), 0o600)
    server.stop()


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o644, 0o600), (0o666, 0o600), (0o664, 0o600), (0o604, 0o600), (0o640, 0o640), (0o660, 0o660), (0o600, 0o600)],
    ids=oct,
)
def test_existing_catalogue_is_taken_from_all_others_but_not_from_a_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: int, after: int
) -> None:
    files = [tmp_path / f"catalogue.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    for path in files:
        path.write_bytes(b"kept")
        path.chmod(before)
    keep_private(files[0])
    assert [mode_of(path) for path in files] == [after] * 3
    assert all(path.read_bytes() == b"kept" for path in files)
    assert ("was accessible to all users" in caplog.text) == (before != after)
    caplog.clear()
    keep_private(files[0])
    assert not caplog.records, "the warning was repeated"


def test_operator_may_let_a_group_read_files(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        storage = FilesystemStorage(
            "STANDARD", tmp_path / "objects", file_permissions_mode=0o640, directory_permissions_mode=0o750
        )
        storage.check()
        with storage._written_aside("bkt/ab/key.00000000000000000000000000000000") as file:
            os.write(file, b"x")
    finally:
        os.umask(before)
    modes = {mode_of(path) for path in (tmp_path / "objects").rglob("*") if path.is_file()}
    assert modes == {0o640}
    assert {mode_of(path) for path in (tmp_path / "objects").rglob("*") if path.is_dir()} == {0o750}
