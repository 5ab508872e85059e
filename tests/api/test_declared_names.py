"""A view reads exactly the names that its row of the table declares.

Every operation is called in each way that takes a different path through the code, with a request that records which
names are read. The union is compared with the row: query parameters and `x-amz-*` headers.
"""

import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

import pytest

from post3.access import permissions
from post3.access.callers import Caller
from post3.access.owners import canonical_id
from post3.api import operations
from post3.errors import S3Error
from post3.s3.request import S3Request

from ..stores import Store

METADATA = "x-amz-meta-"
UNSIGNED = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
FRAMED = {
    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-decoded-content-length": "1",
    "x-amz-trailer": "x-amz-checksum-crc32",
}
CHECKSUMS = {
    "x-amz-checksum-crc32": "6Le+Qw==",
    "x-amz-checksum-crc32c": "k0P6Ew==",
    "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
    "x-amz-checksum-sha1": "hvfkN/qlp/zhXR3cuerq6jd2Z7g=",
    "x-amz-checksum-sha256": "ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=",
}


class Noting(dict[str, str]):
    """A mapping that records which names are read.

    Iterating records none, except over items or values: that records all.
    """

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def items(self) -> Any:
        self.read.update(self)
        return super().items()

    def keys(self) -> Any:
        return _Keys(self)


class _Keys:
    def __init__(self, noting: Noting) -> None:
        self._noting = noting

    def isdisjoint(self, names: tuple[str, ...]) -> bool:
        return not any(name in self._noting for name in names)


@dataclass
class Call:
    """One way of calling an operation."""

    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def bodies() -> list[Call]:
    """Return the ways of sending a body: plain, framed, with each checksum, with a named one."""
    calls = [Call({}, {**UNSIGNED, "content-length": "1"}, b"a"), Call({}, FRAMED, b"1\r\na\r\n0\r\n\r\n")]
    calls += [Call({}, {**UNSIGNED, "content-length": "1", name: value}, b"a") for name, value in CHECKSUMS.items()]
    named = {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": CHECKSUMS["x-amz-checksum-crc32"]}
    return [*calls, Call({}, {**UNSIGNED, "content-length": "1", **named}, b"a")]


def calls_of(shape: str, level: str, upload_id: str) -> list[Call]:
    """Return the calls of an operation that differ in what they read."""
    query = {name: "" for name in shape.partition("?")[2].partition(" ")[0].split("&") if name}
    query |= {
        name: value for name, value in {"uploadId": upload_id, "partNumber": "1", "list-type": "2"}.items() if name in query
    }
    calls = bodies() if shape.startswith(("PUT", "POST")) else [Call()]
    for call in calls:
        call.query |= query
        call.headers |= {f"{METADATA}a": "1"}
        if "+x-amz-copy-source" in shape:
            call.headers["x-amz-copy-source"] = "bucket/k"
    if "+x-amz-copy-source" in shape:
        calls.append(Call(query, {**calls[0].headers, "x-amz-metadata-directive": "REPLACE"}))
    if shape == "POST ?uploadId":  # the checksums are the object's, read after the document
        document = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>"
        calls.append(Call(query, {**UNSIGNED, "content-length": str(len(document))}, document))
    if level == "OBJECT" and shape in ("GET", "HEAD"):
        calls.append(Call({"partNumber": "1", "versionId": "null"}))
    if shape == "GET ?list-type":
        calls += [Call({"list-type": "2", "continuation-token": "MWE="}), Call({"list-type": "1"})]
    if "GET" in shape:
        calls += [Call({**query, "continuation-token": "MWE=", "key-marker": "a", "upload-id-marker": upload_id})]
    return calls


_OF_SOURCES = {"x-amz-copy-source", "x-amz-source-expected-bucket-owner"}
ROWS = [(level, shape) for level, table in operations.TABLES.items() for shape, row in table.items() if row.view is not None]


@pytest.mark.parametrize(("level", "shape"), ROWS, ids=[f"{level} {shape}" for level, shape in ROWS])
def test_operation_reads_what_its_row_declares(store: Store, level: str, shape: str) -> None:
    row = operations.TABLES[level][shape]
    parameters: set[str] = set()
    headers: set[str] = set()
    upload_id = store.begin("k").upload_id
    for call in calls_of(shape, level, upload_id):
        query, sent = Noting(call.query), Noting(call.headers)
        bucket = "" if level == "SERVICE" else "made" if row.name == "CreateBucket" else "bucket"
        key = "k" if level == "OBJECT" else ""
        caller = Caller("AKIA", store.owner, canonical_id(store.owner))
        method = shape.partition(" ")[0]
        request = S3Request(method, "/", "", sent, query, bucket, key, io.BytesIO(call.body), caller=caller)
        request.grant = request.source = store.grant
        with contextlib.suppress(S3Error):  # names read before the error still count
            row.view(request)
        parameters |= query.read
        headers |= {f"{METADATA}*" if name.startswith(METADATA) else name for name in sent.read if name.startswith("x-amz-")}
    # `operations.find` has read the shape's own names, and dispatch reads the source of a copy and the expected owners.
    parameters = {name for name in parameters if not name.startswith("X-Amz-")}
    parameters |= set(shape.partition("?")[2].partition(" ")[0].split("&")) - {""}
    headers |= {"x-amz-expected-bucket-owner"} & row.headers | _OF_SOURCES.intersection(row.headers if "+" in shape else ())
    assert (parameters, headers - {"x-amz-date"}) == (set(row.parameters), set(row.headers))


def test_every_bucket_operation_but_create_bucket_knows_the_expected_owner() -> None:
    for level, shape in ROWS:
        row = operations.TABLES[level][shape]
        known = "x-amz-expected-bucket-owner" in row.headers
        assert known == (level != "SERVICE" and row.name != "CreateBucket"), row.name
    assert callable(permissions.check_expected_owner)


def test_no_name_is_both_read_and_unimplemented() -> None:
    for level, shape in ROWS:
        row = operations.TABLES[level][shape]
        assert not row.headers & row.lacks, row.name
