"""The contents of a frozen store: one of everything that clients can create, written over HTTP.

Bodies are the same in every run. IDs, dates and secrets are not, so `expected.json` belongs to the stores next to it.
Tests rely on these names in all frozen stores. Names may be added, but must not be removed.
"""

import random
from dataclasses import dataclass
from typing import Any

from ..helpers import path_of
from ..operations.multipart import begin, complete, send, upload
from ..raw import RawClient
from ..servers import Server

KIB, MIB = 1 << 10, 1 << 20
#: Random bytes of a body before they repeat, each time with a number. Bodies can be compressed, but no two pages are
#: equal.
PAGE = 2 * KIB

MAIN, ABROAD, EMPTY = "everything", "abroad", "empty"
#: The key whose bytes are deliberately damaged, and a key whose blob is left half collected.
DAMAGED, HALF_COLLECTED = "damaged", "half collected"
#: Keys of uploads: its object was deleted since; started as by an older release; aborted and continued after the
#: upgrade.
OVERTAKEN_UPLOAD, OLDER_UPLOAD = "upload/overtaken", "upload/of an older release"
ABORTED_UPLOAD, CONTINUED_UPLOAD = "upload/aborted", "upload/continued"
#: Deleted before the first run of the worker, so that its counts are not zero.
COLLECTED = ("collected/1", "collected/2")

SIZES = (0, 1, 4 * KIB, 300 * KIB, 3 * MIB)
HEADERS = {
    "ContentType": "text/html; charset=utf-8",
    "ContentEncoding": "br",
    "ContentDisposition": 'attachment; filename="a b.html"',
    "ContentLanguage": "de-DE, en",
    "CacheControl": "max-age=30, public",
    "Expires": "Thu, 01 Dec 2044 16:00:00 GMT",
}
METADATA = {"color": "blue", "empty": "", "taken-by": 'a, b; c="d" <e>', "under_score": "1", "under-score": "2"}
NOT_ASCII = {"greeting": "grün, 日本語, 😀", "long": "plain ü and more " * 20 + "end"}
KEYS = (
    *(
        "a",
        "a/",
        "a/b",
        "a//b",
        "//",
        "/a",
        ".",
        "..",
        "./",
        "a/../b",
        "../../../../tmp/escaped",
        "%2F",
        "%2e%2e/a",
        "a+b c",
        " a ",
    ),
    *("ü", "u\u0308", "😀/𝄞", "k" * 1024, "😀" * 256, "a/" * 512, "." * 1024, "new\nline", "<a>&amp;\"'", "a?b=c&d#e", "*_%"),
    *("like.0123456789abcdef0123456789abcdef.json", "\U0010ffff"),
)
PARTS = {1: 300 * KIB, 2: 1200 * KIB + 3, 9: 0}
SMALL_PARTS = {1: 20 * KIB, 2: 7}
CHECKSUMS = (
    *((algorithm, "COMPOSITE") for algorithm in ("CRC32", "CRC32C", "SHA1", "SHA256")),
    *((algorithm, "FULL_OBJECT") for algorithm in ("CRC32", "CRC32C", "CRC64NVME")),
)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the store with one of their API keys."""

    s3: Any
    raw: RawClient

    @classmethod
    def of(cls, server: Server, access_key: str, secret_key: str) -> "User":
        server.access_key, server.secret_key = access_key, secret_key
        return cls(server.client(), RawClient(server.host, server.port, access_key, secret_key))

    def put(self, bucket: str, key: str, body: bytes, **headers: str) -> None:
        """Put an object with a key or headers that boto3 would not send unchanged."""
        answer = self.raw.send("PUT", path_of(bucket, key), headers=list(headers.items()), body=body)
        assert answer is not None and answer.status == 200, answer


def made_body(size: int, seed: str) -> bytes:
    """Return a body determined by seed and size, which compresses well and has no two equal pages."""
    page = random.Random(seed).randbytes(PAGE - 8)
    return b"".join(number.to_bytes(8, "big") + page for number in range(-(-size // PAGE)))[:size]


def fill(first: User, second: User) -> None:
    """Create all buckets and their permanent contents."""
    first.s3.create_bucket(Bucket=MAIN)
    second.s3.create_bucket(Bucket=ABROAD, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    second.s3.create_bucket(Bucket=EMPTY)
    _put_single_objects(first, second)
    _put_multipart_objects(first)
    _copy_objects(first, second)
    for key in COLLECTED:
        first.s3.put_object(Bucket=MAIN, Key=key, Body=made_body(5000, key))


def _put_single_objects(first: User, second: User) -> None:
    for size in SIZES:
        first.s3.put_object(Bucket=MAIN, Key=f"size/{size}", Body=made_body(size, f"size {size}"))
    first.s3.put_object(Bucket=MAIN, Key="headers", Body=made_body(100, "headers"), **HEADERS)
    first.s3.put_object(Bucket=MAIN, Key="metadata", Body=made_body(100, "metadata"), Metadata=METADATA, **HEADERS)
    first.put(MAIN, "not ascii", b"not ascii", **{f"x-amz-meta-{name}": value for name, value in NOT_ASCII.items()})
    first.put(MAIN, "no client checksum", made_body(5000, "no client checksum"))
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        body = made_body(1000, algorithm)
        first.s3.put_object(Bucket=MAIN, Key=f"checksum/{algorithm}", Body=body, ChecksumAlgorithm=algorithm)
    second.s3.put_object(Bucket=MAIN, Key="by the other user", Body=b"x" * 10)
    for key in KEYS:
        first.put(ABROAD, key, key.encode())
    for key in (DAMAGED, HALF_COLLECTED):
        first.s3.put_object(Bucket=MAIN, Key=key, Body=made_body(20 * KIB, key))


def _put_multipart_objects(first: User) -> None:
    described = {"Metadata": METADATA, **HEADERS}
    upload(first.s3, MAIN, "parts/plain", made_parts("parts", PARTS), **described)
    upload(first.s3, MAIN, "parts/one", made_parts("one part", {1: 30}))
    for algorithm, kind in CHECKSUMS:
        key = f"parts/{algorithm}-{kind}"
        upload_id = begin(first.s3, MAIN, key, ChecksumAlgorithm=algorithm, ChecksumType=kind)
        sent = send(first.s3, MAIN, key, upload_id, made_parts(key, SMALL_PARTS), ChecksumAlgorithm=algorithm)
        complete(first.s3, MAIN, key, upload_id, sent)
    upload_id = begin(first.s3, MAIN, "parts/copied")
    source = {"Bucket": MAIN, "Key": f"size/{SIZES[3]}"}
    copied = first.s3.upload_part_copy(
        Bucket=MAIN, Key="parts/copied", UploadId=upload_id, PartNumber=1, CopySource=source, CopySourceRange="bytes=10-50009"
    )
    complete(first.s3, MAIN, "parts/copied", upload_id, [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}])


def _copy_objects(first: User, second: User) -> None:
    def copy(user: User, source: str, bucket: str, key: str, **arguments: Any) -> None:
        user.s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": MAIN, "Key": source}, **arguments)

    copy(first, "parts/plain", MAIN, "copy/of parts")
    copy(second, "parts/SHA256-COMPOSITE", ABROAD, "copy/of parts with checksums")
    copy(second, "metadata", ABROAD, "copy/with metadata")
    replaced = {"Metadata": {"color": "red"}, "ContentType": "text/plain"}
    copy(first, "metadata", MAIN, "copy/replaced", MetadataDirective="REPLACE", **replaced)
    copy(first, "size/4096", MAIN, "copy/with another checksum", ChecksumAlgorithm="SHA1")
    for key in ("copy/of an overwritten object", "copy/of a deleted object"):
        first.s3.put_object(Bucket=MAIN, Key="origin", Body=made_body(9000, key))
        copy(first, "origin", MAIN, key)
    first.s3.delete_object(Bucket=MAIN, Key="origin")


def leave_uploads(first: User, second: User) -> None:
    """Leave multipart uploads in progress."""
    small = {"ContentType": "text/css", "Metadata": {"color": "green"}}
    _begin_with_parts(first, MAIN, "upload/plain", {1: 300 * KIB, 2: 1100 * KIB, 4: 0}, **HEADERS, Metadata=METADATA)
    _begin_with_parts(first, MAIN, "upload/plain", {1: 10})  # two uploads for one key
    _begin_with_parts(second, ABROAD, "upload/SHA256", SMALL_PARTS, ChecksumAlgorithm="SHA256", **small)
    whole = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
    _begin_with_parts(first, MAIN, "upload/CRC32C", SMALL_PARTS, **whole)
    _begin_with_parts(first, MAIN, "upload/no parts", {}, ChecksumAlgorithm="CRC64NVME", **small)
    _begin_with_parts(first, MAIN, "upload/no parts and no algorithm", {})
    _begin_with_parts(first, MAIN, "headers", SMALL_PARTS)  # for a key that has an object
    first.s3.put_object(Bucket=MAIN, Key=OVERTAKEN_UPLOAD, Body=b"deleted after the upload began")
    _begin_with_parts(first, MAIN, OVERTAKEN_UPLOAD, SMALL_PARTS)
    first.s3.delete_object(Bucket=MAIN, Key=OVERTAKEN_UPLOAD)
    for key in (OLDER_UPLOAD, ABORTED_UPLOAD, CONTINUED_UPLOAD):
        _begin_with_parts(first, MAIN, key, SMALL_PARTS)


def _begin_with_parts(user: User, bucket: str, key: str, sizes: dict[int, int], **arguments: Any) -> None:
    upload_id = begin(user.s3, bucket, key, **arguments)
    named = {"ChecksumAlgorithm": arguments["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in arguments else {}
    send(user.s3, bucket, key, upload_id, made_parts(key, sizes), **named)


def leave_garbage(first: User) -> None:
    """Leave bytes that no object refers to: overwritten, deleted, aborted, replaced."""
    for number in range(3):
        first.s3.put_object(
            Bucket=MAIN, Key="overwritten", Body=made_body(3000, f"overwritten {number}"), Metadata={"n": str(number)}
        )
    for key in ("deleted/1", "deleted/2", "deleted/3"):
        first.s3.put_object(Bucket=MAIN, Key=key, Body=made_body(300 * KIB, key))
    first.s3.delete_object(Bucket=MAIN, Key="deleted/1")
    first.s3.delete_objects(Bucket=MAIN, Delete={"Objects": [{"Key": "deleted/2"}, {"Key": "deleted/3"}]})
    upload(first.s3, MAIN, "deleted/parts", made_parts("deleted parts", SMALL_PARTS))
    first.s3.delete_object(Bucket=MAIN, Key="deleted/parts")
    upload_id = begin(first.s3, MAIN, "aborted")
    send(first.s3, MAIN, "aborted", upload_id, made_parts("aborted", SMALL_PARTS))
    send(first.s3, MAIN, "aborted", upload_id, made_parts("sent again", SMALL_PARTS))
    first.s3.abort_multipart_upload(Bucket=MAIN, Key="aborted", UploadId=upload_id)


def made_parts(seed: str, sizes: dict[int, int]) -> dict[int, bytes]:
    return {number: made_body(size, f"{seed} {number}") for number, size in sizes.items()}
