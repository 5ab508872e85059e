"""One call of every S3 operation with boto3, and the expected results."""

import json
from typing import Any

from post3.api import operations

from ..helpers import etag_of, keys_of, random_bytes, read
from ..servers import Server

SMALL = b"a small body"
#: A part of the minimum size.
PART = random_bytes(5 << 20)


def every_operation() -> set[str]:
    """Return the names of the operations that the table implements."""
    return {row.name for table in operations.TABLES.values() for row in table.values() if row.view is not None}


def use_every_operation(s3: Any, bucket: str) -> set[str]:
    """Use every operation, and leave some objects in `bucket`; return the names of the operations that succeeded."""
    used: set[str] = set()

    def note(http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code < 300:
            used.add(model.name)

    s3.meta.events.register("after-call.s3", note)
    use_buckets(s3, bucket)
    use_objects(s3, bucket)
    use_multipart_uploads(s3, bucket)
    use_deletions(s3, bucket)
    s3.meta.events.unregister("after-call.s3", note)
    return used


def check_the_store(server: Server) -> None:
    """Run the worker's tasks once, and read every object of the store."""
    server.manage("run_worker", "--once")
    summary = json.loads(server.manage("check_storage", "--verify", "--json").splitlines()[-1])
    assert (summary["found"], summary["remaining"]) == ({}, 0) and summary["objects"] == 3, summary


def use_buckets(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=f"{bucket}-2")
    assert {bucket, f"{bucket}-2"} <= {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    s3.delete_bucket(Bucket=f"{bucket}-2")
    assert f"{bucket}-2" not in {entry["Name"] for entry in s3.list_buckets()["Buckets"]}


def use_objects(s3: Any, bucket: str) -> None:
    for key, body in {"a/small": SMALL, "a/empty": b"", "b/large": PART + SMALL}.items():
        answer = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"kind": "plain"}, ChecksumAlgorithm="SHA256")
        assert answer["ETag"] == etag_of(body)
        assert read(s3, bucket, key) == body
    s3.put_object(Bucket=bucket, Key="a/small", Body=SMALL, Metadata={"kind": "second"})
    part = s3.get_object(Bucket=bucket, Key="b/large", Range="bytes=-20")
    assert part["Body"].read() == (PART + SMALL)[-20:]
    head = s3.head_object(Bucket=bucket, Key="a/small")
    assert (head["ContentLength"], head["Metadata"]) == (len(SMALL), {"kind": "second"})
    s3.copy_object(Bucket=bucket, Key="c/copy", CopySource={"Bucket": bucket, "Key": "b/large"})
    assert read(s3, bucket, "c/copy") == PART + SMALL

    assert keys_of(s3, bucket) == ["a/empty", "a/small", "b/large", "c/copy"]
    listed = s3.list_objects(Bucket=bucket, Delimiter="/", MaxKeys=2)
    assert ([entry["Prefix"] for entry in listed["CommonPrefixes"]], listed["IsTruncated"]) == (["a/", "b/"], True)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="a/", StartAfter="a/empty")
    assert [(entry["Key"], entry["Size"]) for entry in listed["Contents"]] == [("a/small", len(SMALL))]


def use_multipart_uploads(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "d/parts"}
    upload = {**where, "UploadId": s3.create_multipart_upload(**where, Metadata={"kind": "parts"})["UploadId"]}
    assert [entry["Key"] for entry in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["d/parts"]
    etags = [
        s3.upload_part(**upload, PartNumber=1, Body=PART)["ETag"],
        s3.upload_part_copy(**upload, PartNumber=2, CopySource=f"{bucket}/b/large")["CopyPartResult"]["ETag"],
        s3.upload_part(**upload, PartNumber=3, Body=SMALL)["ETag"],
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    assert [{name: part[name] for name in parts[0]} for part in s3.list_parts(**upload)["Parts"]] == parts
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert read(s3, bucket, "d/parts") == PART + PART + SMALL + SMALL
    assert s3.head_object(**where)["Metadata"] == {"kind": "parts"}

    aborted = {"Bucket": bucket, "Key": "d/aborted"}
    aborted["UploadId"] = s3.create_multipart_upload(**aborted)["UploadId"]
    s3.upload_part(**aborted, PartNumber=1, Body=SMALL)
    s3.abort_multipart_upload(**aborted)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def use_deletions(s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="a/empty")
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b/large"}, {"Key": "never/was"}]})
    assert sorted(entry["Key"] for entry in deleted["Deleted"]) == ["b/large", "never/was"]
    assert keys_of(s3, bucket) == ["a/small", "c/copy", "d/parts"]
