"""Rebuilding from damaged trees: torn, foreign and wrong files are reported and never fatal."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from post3.access.callers import project_caller
from post3.models import Bucket, Object
from post3.services import buckets

from ..stores import Store
from .rebuilt import Report, rewrite, sidecar_of

SMALL = 1000

TORN = [
    (b"", "torn"),
    (b"{", "torn"),
    (b"[" * 100_000, "torn"),
    (b"[]", "not a description"),
    (b'{"format": 1}', "key is not text"),
    (b"\xff\xfe", "torn"),
]
WRONG = [
    ({"format": 3}, "format 3"),
    ({"key": ""}, "0 bytes"),
    ({"key": "\ud800"}, "text that the catalogue cannot store"),
    ({"key": "a\0"}, "text that the catalogue cannot store"),
    ({"key": "x" * 1025}, "text that the catalogue cannot store"),
    ({"bucket": ".."}, "cannot be a bucket"),
    ({"version_id": "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrH"}, "of a version"),
    ({"size": -1}, "not a number"),
    ({"size": True}, "not a number"),
    ({"size": 2**63}, "not a number"),
    ({"owner_id": 0}, "not a number"),
    ({"owner_id": 2**40}, "not a number"),
    ({"blob": ""}, "does not match its bytes"),
    ({"parts": [{"part_number": 1, "size": SMALL, "checksum": "", "blob": ""}]}, "does not match"),
    ({"last_modified": "yesterday"}, "not a date"),
    ({"last_modified": "0001-01-01T00:00:00+14:00"}, "not a valid time"),
    ({"metadata": {"a": 1}}, "not text"),
    ({"headers": []}, "missing"),
    ({"blob": "../../etc/passwd"}, "is not the name"),
    ({"blob": f"bucket/00/k.{'0' * 32}"}, "all 1000 bytes are missing"),
    ({"size": SMALL + 1}, "only 1000 of 1001 bytes exist"),
]


@pytest.mark.parametrize(("document", "reason"), TORN)
def test_torn_description_is_reported_and_left_out(tree: Store, lose: Callable[[], None], document: bytes, reason: str) -> None:
    tree.put("whole", SMALL)
    tree.put("torn", SMALL)
    sidecar_of(tree, "torn").write_bytes(document)
    lose()
    report = Report()
    assert len(report) == report.counts.lost == 1 and reason in report.reasons[0]
    assert list(Object.objects.values_list("key", flat=True)) == ["whole"]


def test_wrong_descriptions_are_reported_and_left_out(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("whole", SMALL)
    expected = {}
    for number, (values, reason) in enumerate(WRONG):
        tree.put(f"{number}", SMALL)
        path = sidecar_of(tree, f"{number}")
        rewrite(path, **values)
        expected[str(path.relative_to(tree.directory))[:-5]] = reason
    lose()
    report = Report()
    told = {fault.name: fault.reason for fault in report}
    assert told.keys() == expected.keys()
    assert {name: reason for name, reason in expected.items() if reason not in told[name]} == {}
    assert list(Object.objects.values_list("key", flat=True)) == ["whole"]
    assert Bucket.objects.count() == 1


def test_endless_description_is_not_read(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("k", SMALL)
    os.truncate(sidecar_of(tree, "k"), 1 << 40)
    lose()
    assert Report().reasons == [f"it has {1 << 40} bytes, more than any description"]


def test_foreign_files_are_reported_and_are_not_a_loss(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("k", SMALL)
    for path in ("lost+found/x", "bucket/README", "bucket/zz/a.json", "bucket/bucket.json.bak"):
        Path(tree.directory, path).parent.mkdir(exist_ok=True)
        Path(tree.directory, path).write_bytes(b"?")
    os.symlink("/etc", tree.directory / "bucket" / "link")
    Path(tree.directory, "bucket/00/").mkdir(exist_ok=True)
    os.mkfifo(tree.directory / "bucket" / "00" / f"k.{'0' * 32}.json")
    lose()
    report = Report()
    assert not any(fault.is_loss for fault in report) and report.counts.lost == 0
    assert {fault.name for fault in report} == {
        "lost+found",
        "bucket/README",
        "bucket/zz",
        "bucket/bucket.json.bak",
        "bucket/link",
        f"bucket/00/k.{'0' * 32}.json",
    }
    assert Object.objects.count() == 1


def test_unreadable_descriptions_of_buckets_are_reported(tree: Store, lose: Callable[[], None]) -> None:
    for name in ("torn", "moved"):
        buckets.create_bucket(name, project_caller(tree.owner), None)
    Path(tree.directory, "torn", "bucket.json").write_bytes(b"{")
    rewrite(Path(tree.directory, "moved", "bucket.json"), bucket="other")
    lose()
    report = Report()
    assert {fault.name for fault in report} == {"torn", "moved"} and report.counts.lost == 2
    assert list(Bucket.objects.values_list("name", flat=True)) == ["bucket"]
