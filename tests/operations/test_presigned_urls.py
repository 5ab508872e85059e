"""Presigned URLs: what they allow, and until when."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..helpers import keys_of, refusal_of
from ..raw import RawClient
from ..servers import Server

MIB = 1 << 20


def fetch(url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Fetch a URL without any credentials."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def presign(server: Server) -> Callable[..., str]:
    """Return a function that presigns with boto3 and Signature Version 4."""
    client = server.client(signature_version="s3v4")

    def presign(operation: str, expires: int = 60, **parameters: Any) -> str:
        return client.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires)

    return presign


def test_presigned_get_and_head(s3: Any, bucket: str, presign: Callable[..., str]) -> None:
    body = b"x" * 300_000
    s3.put_object(Bucket=bucket, Key="a b/ü+%2F", Body=body)
    assert fetch(presign("get_object", Bucket=bucket, Key="a b/ü+%2F")) == (200, body)
    assert fetch(presign("head_object", Bucket=bucket, Key="a b/ü+%2F"), "HEAD") == (200, b"")
    status, answer = fetch(presign("get_object", Bucket=bucket, Key="a b/ü+%2F"), "DELETE")
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)


@pytest.mark.parametrize("size", [0, 10, 2 * MIB])
def test_presigned_put(s3: Any, bucket: str, presign: Callable[..., str], size: int) -> None:
    body = b"x" * size
    assert fetch(presign("put_object", Bucket=bucket, Key="a"), "PUT", body, {"Content-Type": "text/plain"}) == (200, b"")
    got = s3.get_object(Bucket=bucket, Key="a")
    assert (got["Body"].read(), got["ContentType"]) == (body, "text/plain")


def test_presigned_put_with_signed_metadata(s3: Any, bucket: str, presign: Callable[..., str]) -> None:
    url = presign("put_object", Bucket=bucket, Key="a", Metadata={"color": "blue"})
    assert fetch(url, "PUT", b"a", {"x-amz-meta-color": "blue"})[0] == 200
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == {"color": "blue"}
    assert fetch(url, "PUT", b"a", {"x-amz-meta-color": "red"})[0] == 403
    assert fetch(url, "PUT", b"a")[0] == 403


def test_presigned_put_with_an_added_copy_source_is_refused(s3: Any, bucket: str, presign: Callable[..., str]) -> None:
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = presign("put_object", Bucket=bucket, Key="a")
    status, answer = fetch(url, "PUT", b"", {"x-amz-copy-source": f"/{bucket}/secret"})
    assert status == 403
    assert b"<Code>AccessDenied</Code>" in answer
    assert b"<HeadersNotSigned>x-amz-copy-source</HeadersNotSigned>" in answer
    assert keys_of(s3, bucket) == ["secret"]
    # The query is covered by the signature, too.
    assert fetch(f"{url}&x-amz-copy-source=/{bucket}/secret", "PUT", b"")[0] == 403
    assert keys_of(s3, bucket) == ["secret"]


def test_presigned_put_treats_signed_amz_parameters_as_headers(s3: Any, raw: RawClient, bucket: str) -> None:
    # B101
    query = raw.presign("PUT", f"/{bucket}/a", "x-amz-meta-color=blue")
    assert raw.send("PUT", f"/{bucket}/a", query, body=b"a", signed=False).status == 200
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == {"color": "blue"}


@pytest.mark.parametrize("parameter", ["x-amz-acl=public-read", "x-amz-copy-source=other%2Fsecret", "x-amz-tagging=a%3Db"])
def test_presigned_put_with_a_parameter_that_is_not_implemented_is_refused(
    s3: Any, raw: RawClient, bucket: str, parameter: str
) -> None:
    query = raw.presign("PUT", f"/{bucket}/a", parameter)
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", query, body=b"a", signed=False))
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert keys_of(s3, bucket) == []


def test_presigned_url_that_expired_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    # B099
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    signed_at = (datetime.now(UTC) - timedelta(seconds=62)).replace(microsecond=0)
    query = raw.presign("GET", f"/{bucket}/a", expires=60, now=signed_at)
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", query, signed=False))
    assert (refused.status, refused.code, refused.message) == (403, "AccessDenied", "Request has expired")
    assert set(refused.fields) == {"X-Amz-Expires", "Expires", "ServerTime"}
    assert refused.fields["X-Amz-Expires"] == "60"
    assert refused.fields["Expires"] == (signed_at + timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    query = raw.presign("GET", f"/{bucket}/a", expires=120, now=signed_at)
    assert raw.send("GET", f"/{bucket}/a", query, signed=False).body == b"a"


def test_presigned_url_expires_in_time(s3: Any, bucket: str, presign: Callable[..., str]) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    url = presign("get_object", expires=1, Bucket=bucket, Key="a")
    assert fetch(url)[0] == 200
    time.sleep(2.1)
    status, answer = fetch(url)
    assert (status, b"<Message>Request has expired</Message>" in answer) == (403, True)


def test_presigned_url_of_tomorrow_is_refused(raw: RawClient, bucket: str) -> None:
    query = raw.presign("GET", f"/{bucket}/a", now=datetime.now(UTC) + timedelta(days=1))
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", query, signed=False))
    assert (refused.status, refused.code, refused.message) == (403, "AccessDenied", "Request is not yet valid")


@pytest.mark.parametrize(
    ("expires", "message"),
    [
        (
            604801,
            "X-Amz-Expires must be less than a week (in seconds); "
            "that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        (-1, "X-Amz-Expires must be non-negative"),
        ("x", "X-Amz-Expires should be a number"),
    ],
)
def test_presigned_url_with_wrong_expiry_is_refused(raw: RawClient, bucket: str, expires: Any, message: str) -> None:
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", raw.presign("GET", f"/{bucket}/a", expires=expires), signed=False))
    assert (refused.status, refused.code) == (400, "AuthorizationQueryParametersError")
    assert refused.message == message


@pytest.mark.parametrize("missing", ["X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"])
def test_presigned_url_without_a_parameter_is_refused(raw: RawClient, bucket: str, missing: str) -> None:
    query = "&".join(pair for pair in raw.presign("GET", f"/{bucket}").split("&") if not pair.startswith(missing + "="))
    refused = refusal_of(raw.send("GET", f"/{bucket}", query, signed=False))
    assert refused.status in (400, 403)
    assert refused.code in ("AuthorizationQueryParametersError", "SignatureDoesNotMatch")


def test_presigned_url_of_an_odd_key_arrives_as_boto3_signed_them(s3: Any, bucket: str, presign: Callable[..., str]) -> None:
    url = presign("get_object", Bucket=bucket, Key="a b+c%2Fü/~")
    assert urlsplit(url).path == f"/{bucket}/a%20b%2Bc%252F%C3%BC/~"
    s3.put_object(Bucket=bucket, Key="a b+c%2Fü/~", Body=b"a")
    assert fetch(url) == (200, b"a")
