"""Read a whole store over HTTP as plain JSON values, in the release that freezes it and in later ones.

From listings, named fields are read; from objects, all headers except those that vary between responses.
"""

import hashlib
from datetime import datetime
from typing import Any

from ..helpers import path_of, refusal_of
from ..raw import RawResponse
from ..servers import Server
from ..site.scraping import scrape
from .content import User

#: Headers that vary between responses, or depend on a server's configuration.
VARYING = {
    *("date", "server", "connection", "x-amz-request-id", "x-amz-id-2"),
    *("x-content-type-options", "content-security-policy"),
}
META = "x-amz-meta-"
#: No frozen store has a part number above this.
MAX_PART_NUMBER = 9

OBJECT_FIELDS = ("Size", "ETag", "LastModified", "StorageClass", "ChecksumAlgorithm", "ChecksumType", "Owner")
UPLOAD_FIELDS = ("Key", "UploadId", "Initiated", "StorageClass", "ChecksumAlgorithm", "ChecksumType", "Owner", "Initiator")
PART_FIELDS = (
    *("PartNumber", "ETag", "Size", "LastModified"),
    *("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256"),
)


def read_buckets(users: list[User]) -> dict[str, Any]:
    """Return each user's buckets by name, with all their contents."""
    return {
        entry["Name"]: {"created": plain(entry["CreationDate"]), **read_bucket(user, entry["Name"])}
        for user in users
        for entry in user.s3.list_buckets()["Buckets"]
    }


def read_bucket(user: User, bucket: str) -> dict[str, Any]:
    pages = list(
        user.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, FetchOwner=True, PaginationConfig={"PageSize": 7})
    )
    listed = {entry["Key"]: chosen(entry, OBJECT_FIELDS) for page in pages for entry in page.get("Contents", [])}
    rolled_up = user.s3.list_objects(Bucket=bucket, Delimiter="/")
    return {
        "location": user.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"],
        "listed": listed,
        "prefixes": [entry["Prefix"] for entry in rolled_up.get("CommonPrefixes", [])],
        "beside_prefixes": [entry["Key"] for entry in rolled_up.get("Contents", [])],
        "objects": {key: read_object(user, bucket, key) for key in listed},
        "uploads": read_uploads(user, bucket),
    }


def read_object(user: User, bucket: str, key: str) -> dict[str, Any]:
    """Return an object's headers, metadata and digest of its bytes, or the error of reading them."""
    head = _ask(user, "HEAD", bucket, key)
    assert head.status == 200, (bucket, key, head)
    answer = _ask(user, "GET", bucket, key)
    seen: dict[str, Any] = {"headers": headers_of(head), "metadata": metadata_of(head)}
    if answer.status != 200:
        return {**seen, "refused": [answer.status, refusal_of(answer).code]}
    assert (headers_of(answer), metadata_of(answer)) == (seen["headers"], seen["metadata"]), (bucket, key)
    return {**seen, "sha256": hashlib.sha256(answer.body).hexdigest(), **_read_parts(user, bucket, key)}


def _read_parts(user: User, bucket: str, key: str) -> dict[str, Any]:
    """Return an object's parts by number, or nothing if it was uploaded in one PUT."""
    parts: dict[str, Any] = {}
    for number in range(1, MAX_PART_NUMBER + 1):
        answer = _ask(user, "GET", bucket, key, f"partNumber={number}")
        if "x-amz-mp-parts-count" not in answer.headers:
            if number == 1:
                return {}
            continue
        parts[str(number)] = {"headers": headers_of(answer), "sha256": hashlib.sha256(answer.body).hexdigest()}
    return {"parts": parts}


def _ask(user: User, method: str, bucket: str, key: str, query: str = "") -> RawResponse:
    answer = user.raw.send(method, path_of(bucket, key), query, headers=[("x-amz-checksum-mode", "ENABLED")])
    assert answer is not None
    return answer


def read_uploads(user: User, bucket: str) -> list[dict[str, Any]]:
    """Return the multipart uploads in progress, with their parts."""
    uploads = user.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [{**chosen(entry, UPLOAD_FIELDS), "parts": read_upload_parts(user, bucket, entry)} for entry in uploads]


def read_upload_parts(user: User, bucket: str, entry: dict[str, Any]) -> list[dict[str, Any]]:
    found = user.s3.list_parts(Bucket=bucket, Key=entry["Key"], UploadId=entry["UploadId"])
    return [chosen(part, PART_FIELDS) for part in found.get("Parts", [])]


def headers_of(answer: RawResponse) -> dict[str, str]:
    names = sorted(name for name in answer.headers if name not in VARYING and not name.startswith(META))
    return {name: answer.headers[name] for name in names}


def metadata_of(answer: RawResponse) -> dict[str, str]:
    return {name.removeprefix(META): answer.headers[name] for name in sorted(answer.headers) if name.startswith(META)}


def chosen(entry: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: plain(entry[name]) for name in names if name in entry}


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def complete_upload(user: User, bucket: str, upload: dict[str, Any], **conditions: str) -> dict[str, Any]:
    """Complete an upload with all its parts. Return the resulting object."""
    listed = [{name: value for name, value in part.items() if name not in ("Size", "LastModified")} for part in upload["parts"]]
    if "ChecksumAlgorithm" not in upload:  # a part's checksum may be sent only if the upload named its algorithm (B142)
        listed = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]
    named = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    user.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed}, **conditions)
    return read_object(user, bucket, upload["Key"])


def read_metrics(server: Server) -> list[list[Any]]:
    """Return the metrics stored in the catalogue: stored objects and bytes, and the worker's counts."""
    kept = ("post3_stored_", "post3_work_")
    return sorted([list(place), value] for place, value in scrape(server).items() if place[0].startswith(kept))
