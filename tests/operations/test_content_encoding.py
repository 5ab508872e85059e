"""aws-chunked is framing, not an encoding of the object, however it is capitalized (RFC 9110, 8.4.1)."""

from typing import Any

import pytest

from ..helpers import read
from ..raw import RawClient


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *(("AWS-CHUNKED", None), ("Aws-Chunked", None), ("AWS-CHUNKED,gzip", "gzip"), ("GZIP, aws-Chunked", "GZIP")),
        *(("aws-CHUNKED, aws-chunked , br", "br"), ("x-aws-chunked", "x-aws-chunked")),
    ],
)
def test_aws_chunked_in_any_case_is_not_kept(s3: Any, raw: RawClient, bucket: str, sent: str, kept: str | None) -> None:
    header = ("Content-Encoding", sent)
    assert raw.send("PUT", f"/{bucket}/a", headers=[header], body=b"a").status == 200
    replace = [("x-amz-copy-source", f"{bucket}/a"), ("x-amz-metadata-directive", "REPLACE"), header]
    assert raw.send("PUT", f"/{bucket}/b", headers=replace).status == 200
    upload = raw.send("POST", f"/{bucket}/c", "uploads=", headers=[header]).body
    upload_id = upload.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    part = s3.upload_part(Bucket=bucket, Key="c", UploadId=upload_id, PartNumber=1, Body=b"c")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="c", UploadId=upload_id, MultipartUpload=parts)
    request = raw.sign(
        "PUT",
        f"/{bucket}/d",
        headers=[header, ("x-amz-decoded-content-length", "1")],
        payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    )
    body = request.chunked_body([b"d"])
    request.headers.append(("Content-Length", str(len(body))))
    assert raw.send_bytes(request.head() + body, "PUT").status == 200
    for key in "abcd":
        assert raw.send("HEAD", f"/{bucket}/{key}").headers.get("content-encoding") == kept  # B103
    assert read(s3, bucket, "d") == b"d"
