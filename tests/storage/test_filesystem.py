"""Bytes in files."""

import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from post3.storage import BlobMissing, BlobRef, Storage, StorageError
from post3.storage.filesystem import files
from post3.storage.filesystem.names import MAX_KEY_PART
from post3.storage.filesystem.storage import PIECE, FilesystemStorage

from .capability_suites import DescribingSuite
from .suite import ODD_KEYS, in_threads


class TestFilesystemStorage(DescribingSuite):
    block, quarantines = PIECE, True

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        yield FilesystemStorage("STANDARD", location=tmp_path / "bytes")

    def leftovers(self, storage: Storage) -> list[Any]:
        return sorted(path for path in Path(storage.location).rglob("*") if not path.is_dir())

    def damage(self, storage: Storage, ref: BlobRef) -> None:
        os.truncate(Path(storage.location, ref.name), ref.size - 1)

    def test_everything_stays_below_the_location(self, storage: Storage, tmp_path: Path) -> None:
        names = set()
        for key in ODD_KEYS:
            ref = self.saved(storage, b"x", key)
            storage.write_sidecar(ref.name, b"{}")
            names |= {ref.name, f"{ref.name}.json"}
        assert os.listdir(tmp_path) == ["bytes"]
        found = {str(path.relative_to(storage.location)) for path in self.leftovers(storage)}
        assert found == names
        assert {name.count("/") for name in found} == {2}
        assert max(len(os.path.basename(name)) for name in found) == 255

    def test_name_shows_the_key(self, storage: Storage) -> None:
        bucket, fan, file = storage.new_name("bucket/photos/ä.jpg").split("/")
        encoded, unique = file.split(".")
        assert (bucket, fan, encoded) == ("bucket", unique[:2], "photos%2F%C3%A4%2Ejpg")

    def test_name_of_a_long_key_is_cut_between_bytes(self, storage: Storage) -> None:
        for ahead in range(3):
            encoded = os.path.basename(storage.new_name("b/" + "a" * ahead + "𝄞" * 200)).split(".")[0]
            assert encoded.endswith("~") and len(encoded) <= MAX_KEY_PART
            assert encoded[-4] == "%"

    @pytest.mark.parametrize("bucket", ["", ".", "..", ".tmp", "a\x00", "a\n", "/etc", "b" * 256])
    def test_name_of_a_bucket_that_cannot_be_a_directory(self, storage: Storage, bucket: str) -> None:
        with pytest.raises(StorageError):
            storage.new_name(f"{bucket}/key")

    @pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "b/../../etc/passwd", "b/aa/..", ".tmp/aa/x", "b/aa/x\n"])
    def test_foreign_names_are_refused(self, storage: Storage, name: str) -> None:
        ref = BlobRef(id=1, name=name, size=1, block_size=0)
        for use in (
            lambda: storage.save(ref, io.BytesIO(b"x")),
            lambda: storage.open(ref, 0, 1).ensure_readable(),
            lambda: storage.delete(ref),
            lambda: storage.write_sidecar(name, b"{}"),
        ):
            with pytest.raises(StorageError, match="is not the name"):
                use()

    def test_symbolic_links_are_not_followed(self, storage: Storage, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_bytes(b"secret")
        ref = self.saved(storage, b"public")
        path = Path(storage.location, ref.name)
        path.unlink()
        path.symlink_to(secret)
        with pytest.raises(StorageError):
            storage.open(ref, 0, 6).ensure_readable()
        path.unlink()
        elsewhere = tmp_path / "elsewhere"
        path.parent.rename(elsewhere)
        path.parent.symlink_to(elsewhere)
        (elsewhere / path.name).write_bytes(b"public")
        for use in (
            lambda: storage.open(ref, 0, 6).ensure_readable(),
            lambda: storage.save(ref, io.BytesIO(b"x")),
            lambda: storage.delete(ref),
        ):
            with pytest.raises(StorageError):
                use()
        assert (elsewhere / path.name).read_bytes() == b"public"

    def test_fifo_is_not_a_blob(self, storage: Storage) -> None:
        ref = self.saved(storage, b"x")
        path = Path(storage.location, ref.name)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(BlobMissing):
            storage.open(ref, 0, 1).ensure_readable()

    def test_open_closes_its_file(self, storage: Storage) -> None:
        ref = self.saved(storage, os.urandom(2 * PIECE))
        before = os.listdir("/proc/self/fd")
        b"".join(storage.open(ref, 0, ref.size))
        for close in (True, False):
            pieces = storage.open(ref, 0, ref.size)
            pieces.ensure_readable()
            if close:
                pieces.close()
            del pieces
        with pytest.raises(BlobMissing):
            storage.open(ref, 0, ref.size + 1).ensure_readable()
        storage.copy(ref, self.new_ref(storage))
        storage.check()
        assert os.listdir("/proc/self/fd") == before

    def test_open_survives_deletion(self, storage: Storage) -> None:
        data = os.urandom(3 * PIECE)
        ref = self.saved(storage, data)
        pieces = storage.open(ref, 0, ref.size)
        pieces.ensure_readable()
        storage.delete(ref)
        assert b"".join(pieces) == data

    def test_full_disk_leaves_nothing(self, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(file: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(files.os, "write", full)
        with pytest.raises(StorageError, match=r"cannot write .*No space left on device"):
            storage.save(self.new_ref(storage), io.BytesIO(b"x"))
        with pytest.raises(StorageError, match="No space left on device"):
            storage.check()
        assert self.leftovers(storage) == []

    @pytest.mark.parametrize("call", ["rename", "fsync", "fdatasync"])
    def test_failure_to_publish_leaves_nothing(self, storage: Storage, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        self.saved(storage, b"so that .tmp is there")
        before = self.leftovers(storage)

        def fail(*args: Any, **kwargs: Any) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(files.os, call, fail)
        with pytest.raises(StorageError, match="Input/output error"):
            storage.save(self.new_ref(storage), io.BytesIO(b"x"))
        assert self.leftovers(storage) == before

    def test_save_after_directories_were_removed(self, storage: Storage) -> None:
        ref = self.saved(storage, b"first")
        storage.delete(ref)
        Path(storage.location, ref.name).parent.rmdir()
        Path(storage.location, "bucket").rmdir()
        Path(storage.location, ".tmp").rmdir()
        assert storage.save(ref, io.BytesIO(b"second")) == 6
        assert Path(storage.location, ref.name).read_bytes() == b"second"

    @pytest.mark.parametrize("failing", [None, errno.EOPNOTSUPP])
    def test_copy_with_and_without_the_kernels_help(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch, failing: int | None
    ) -> None:
        data = os.urandom(2 * PIECE + 3)
        source, target = self.saved(storage, data), self.new_ref(storage)
        if failing:

            def refuse(*args: Any) -> int:
                raise OSError(failing, os.strerror(failing))

            monkeypatch.setattr(files.os, "copy_file_range", refuse)
        assert storage.copy(source, target) == len(data)
        assert Path(storage.location, target.name).read_bytes() == data

    def test_sidecar_is_next_to_its_blob(self, storage: Storage) -> None:
        ref = self.saved(storage, b"x")
        storage.write_sidecar(ref.name, b'{"key": "a"}')
        assert Path(storage.location, f"{ref.name}.json").read_bytes() == b'{"key": "a"}'
        storage.delete_sidecar(ref.name)
        assert self.contents(storage, ref) == b"x"

    def test_description_of_a_bucket_is_not_a_blob(self, storage: Storage) -> None:
        in_threads(8, lambda number: storage.write_bucket_sidecar("bucket", b"%d" % number))
        assert self.leftovers(storage) == [Path(storage.location, "bucket", "bucket.json")]
        with pytest.raises(StorageError, match="is not the name"):
            storage.open(BlobRef(1, "bucket/bucket", 1, 0), 0, 1).ensure_readable()
        with pytest.raises(StorageError, match="is not the name"):
            storage.read_sidecar("bucket/bucket.json")

    def test_sweep(self, storage: Storage) -> None:
        ref = self.saved(storage, b"x")
        aside = Path(storage.location, ".tmp")
        for name, age in [("old", 7200), ("new", 60)]:
            (aside / name).write_bytes(b"left by a crash")
            os.utime(aside / name, (time.time() - age,) * 2)
        assert storage.sweep(3600) == 1
        assert os.listdir(aside) == ["new"]
        assert self.contents(storage, ref) == b"x"

    def test_check_of_a_missing_location(self, storage: Storage) -> None:
        os.rename(storage.location, f"{storage.location}.away")
        with pytest.raises(StorageError, match="No such file or directory"):
            storage.check()
        assert not os.path.exists(storage.location), "an unmounted disk must not be taken for an empty one"

    def test_walk_reports_foreign_files(self, storage: Storage, tmp_path: Path) -> None:
        ref = self.saved(storage, b"x")
        at = Path(storage.location, ref.name)
        odd = ["lost+found/x", "README", "bucket/notes", "bucket/abc/y", f"bucket/{at.parent.name}/no id"]
        for path in odd:
            Path(storage.location, path).parent.mkdir(exist_ok=True)
            Path(storage.location, path).write_bytes(b"")
        (at.parent / ("link." + "0" * 32)).symlink_to(at)
        os.symlink(at.parent, at.parent.parent / "00")
        found = list(storage.walk())
        foreign = {"lost+found", "README", "bucket/notes", "bucket/abc", odd[4], f"bucket/{at.parent.name}/link.{'0' * 32}"}
        assert {held.name for held in found if held.is_foreign} == foreign | {"bucket/00"}
        assert [held.name for held in found if not held.is_foreign] == [ref.name]

    def test_quarantine_moves_the_file(self, storage: Storage) -> None:
        ref = self.saved(storage, b"damaged")
        storage.quarantine(ref)
        assert Path(storage.location, ".quarantine", ref.name).read_bytes() == b"damaged"
        assert not Path(storage.location, ref.name).exists()
