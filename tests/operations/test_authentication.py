"""Authentication: signatures in headers, their time and scope; signed bodies; paths and queries exactly as sent."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from ..helpers import keys_of, read, refusal_of
from ..raw import RawClient
from ..servers import Server

MIB = 1 << 20
MISMATCH = "The request signature we calculated does not match the signature you provided. Check your key and signing method."


# Requests without a valid signature


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        *(("GET", "/", ""), ("GET", "/{}", ""), ("GET", "/{}", "list-type=2"), ("PUT", "/{}-new", ""), ("DELETE", "/{}", "")),
        *(
            ("GET", "/{}/a", ""),
            ("PUT", "/{}/a", ""),
            ("DELETE", "/{}/a", ""),
            ("POST", "/{}", "delete"),
            ("POST", "/{}/a", "uploads"),
        ),
    ],
)
def test_authentication_without_a_signature_is_refused(
    s3: Any, raw: RawClient, bucket: str, method: str, path: str, query: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    refused = refusal_of(raw.send(method, path.format(bucket), query, body=b"x" if method == "PUT" else b"", signed=False))
    assert (refused.status, refused.code, refused.message) == (403, "AccessDenied", "Access Denied")
    assert read(s3, bucket, "a") == b"kept"
    assert raw.send("HEAD", f"/{bucket}/a", signed=False).status == 403


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", "P3", "gr\u00fcn", "a'; DROP TABLE post3_apikey; --", "x" * 5000])
def test_authentication_with_an_unknown_key_is_refused(raw: RawClient, bucket: str, key: str) -> None:
    raw.access_key = key
    refused = refusal_of(raw.send("GET", f"/{bucket}"))
    assert (refused.status, refused.code) == (403, "InvalidAccessKeyId")
    assert refused.message == "The AWS Access Key Id you provided does not exist in our records."
    assert refused.fields == {"AWSAccessKeyId": key}


def test_authentication_with_a_wrong_secret_is_refused_and_shows_the_string_to_sign(raw: RawClient, bucket: str) -> None:
    raw.secret_key = "x" * 40
    request = raw.sign("GET", f"/{bucket}/a%20b", "versionId=null")
    refused = refusal_of(raw.send_bytes(request.head()))
    assert (refused.status, refused.code, refused.message) == (403, "SignatureDoesNotMatch", MISMATCH)
    fields = refused.fields
    assert set(fields) == {
        *("AWSAccessKeyId", "StringToSign", "SignatureProvided", "StringToSignBytes", "CanonicalRequest", "CanonicalRequestBytes")
    }
    assert (fields["AWSAccessKeyId"], fields["SignatureProvided"]) == (raw.access_key, request.signature)
    assert fields["CanonicalRequest"].startswith(f"GET\n/{bucket}/a%20b\nversionId=null\nhost:{raw.host}:{raw.port}\n")
    hashed = hashlib.sha256(fields["CanonicalRequest"].encode()).hexdigest()
    assert fields["StringToSign"] == f"AWS4-HMAC-SHA256\n{request.timestamp}\n{request.scope}\n{hashed}"
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]
    assert bytes.fromhex(fields["CanonicalRequestBytes"]).decode() == fields["CanonicalRequest"]
    assert raw.secret_key not in str(refused)


@pytest.mark.parametrize("what", ["method", "path", "query", "host", "header", "signature"])
def test_authentication_of_a_request_changed_after_signing_is_refused(s3: Any, raw: RawClient, bucket: str, what: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    request = raw.sign("GET", f"/{bucket}/a", "versionId=null", headers=[("Range", "bytes=0-0")])
    changed = dict(request.headers)
    if what == "method":
        request.method = "DELETE"
    elif what == "path":
        request.target = request.target.replace("/a?", "/b?")
    elif what == "query":
        request.target += "&response-content-type=text%2Fhtml"
    elif what == "host":
        changed["Host"] = "elsewhere"
    elif what == "header":
        changed["Range"] = "bytes=0-1"
    else:
        changed["Authorization"] = changed["Authorization"][:-1] + ("0" if changed["Authorization"][-1] != "0" else "1")
    request.headers = list(changed.items())
    refused = refusal_of(raw.send_bytes(request.head()))
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize("skew", [timedelta(minutes=-16), timedelta(minutes=16), timedelta(days=-400)])
def test_authentication_with_a_clock_off_by_more_than_15_minutes_is_refused(raw: RawClient, bucket: str, skew: timedelta) -> None:
    request = raw.sign("GET", f"/{bucket}", now=datetime.now(UTC) + skew)
    refused = refusal_of(raw.send_bytes(request.head()))
    assert (refused.status, refused.code) == (403, "RequestTimeTooSkewed")
    assert refused.message == "The difference between the request time and the current time is too large."
    assert set(refused.fields) == {"RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"}
    assert (refused.fields["RequestTime"], refused.fields["MaxAllowedSkewMilliseconds"]) == (request.timestamp, "900000")
    server_time = datetime.strptime(refused.fields["ServerTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(server_time - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("skew", [timedelta(minutes=-14), timedelta(minutes=14)])
def test_authentication_with_a_clock_off_by_less_is_accepted(raw: RawClient, bucket: str, skew: timedelta) -> None:
    assert raw.send_bytes(raw.sign("GET", f"/{bucket}", now=datetime.now(UTC) + skew).head()).status == 200


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-storage-class", "x-amz-tagging"])
def test_authentication_with_an_unsigned_amz_header_is_refused(s3: Any, raw: RawClient, bucket: str, name: str) -> None:
    refused = refusal_of(
        raw.send("PUT", f"/{bucket}/a", body=b"a", unsigned_headers=[(name, "STANDARD"), ("Content-Length", "1")])
    )
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert refused.message == "There were headers present in the request which were not signed"
    assert refused.fields == {"HeadersNotSigned": name}
    assert keys_of(s3, bucket) == []


def test_authentication_with_an_unsigned_content_type_is_accepted(s3: Any, raw: RawClient, bucket: str) -> None:
    headers = [("Content-Type", "text/plain"), ("Content-Length", "1")]
    assert raw.send("PUT", f"/{bucket}/a", body=b"a", unsigned_headers=headers).status == 200
    assert s3.head_object(Bucket=bucket, Key="a")["ContentType"] == "text/plain"


def test_authentication_by_version_2_is_refused(raw: RawClient, bucket: str) -> None:
    headers = [("Authorization", f"AWS {raw.access_key}:c2lnbmF0dXJl"), ("Date", "Thu, 01 Dec 2022 16:00:00 GMT")]
    refused = refusal_of(raw.send("GET", f"/{bucket}", headers=headers, signed=False))
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."


def test_authentication_with_a_revoked_key_is_refused_soon(server: Server, raw: RawClient, bucket: str) -> None:
    raw.access_key, raw.secret_key = server.create_api_key("revoked")
    assert raw.send("GET", f"/{bucket}").status == 200
    server.manage("revoke_api_key", raw.access_key)
    time.sleep(1.5)
    refused = refusal_of(raw.send("GET", f"/{bucket}"))
    assert (refused.status, refused.code) == (403, "InvalidAccessKeyId")


# Bodies


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_authentication_of_a_body_with_another_hash_is_refused(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    body, claimed = b"x" * size, hashlib.sha256(b"other").hexdigest()
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", body=body, payload_hash=claimed))
    assert (refused.status, refused.code) == (400, "XAmzContentSHA256Mismatch")
    assert refused.message == "The provided 'x-amz-content-sha256' header does not match what was computed."
    assert refused.fields == {
        "ClientComputedContentSHA256": claimed,
        "S3ComputedContentSHA256": hashlib.sha256(body).hexdigest(),
    }
    assert read(s3, bucket, "a") == b"old"


def test_authentication_of_an_unsigned_payload_is_accepted(s3: Any, raw: RawClient, bucket: str) -> None:
    assert raw.send("PUT", f"/{bucket}/a", body=b"new", payload_hash="UNSIGNED-PAYLOAD").status == 200
    assert read(s3, bucket, "a") == b"new"


def test_authentication_of_a_nonsense_hash_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", body=b"new", payload_hash="nonsense"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert keys_of(s3, bucket) == []


# Paths and queries as sent


@pytest.mark.parametrize(
    ("signed", "sent", "key"),
    [
        ("a%20b", "a%20b", "a b"),
        ("%C3%BC", "%c3%bc", "ü"),
        ("a~b", "a%7Eb", "a~b"),
        ("abc", "a%62c", "abc"),
        ("a%2Bb", "a+b", "a+b"),
        ("a%2Bb", "a%2Bb", "a+b"),
        ("a%3Ab%40c%3Dd", "a:b@c=d", "a:b@c=d"),
        ("a%252Fb", "a%252Fb", "a%2Fb"),
        ("a//b/", "a//b/", "a//b/"),
        ("a/../b", "a/../b", "a/../b"),
        ("./a", "./a", "./a"),
        ("%0A%01", "%0A%01", "\n\x01"),
        ("%F0%9F%98%80", "%F0%9F%98%80", "😀"),
    ],
)
def test_authentication_of_paths_in_odd_encodings(s3: Any, raw: RawClient, bucket: str, signed: str, sent: str, key: str) -> None:
    request = raw.sign("PUT", f"/{bucket}/{signed}", body=b"a", unsigned_headers=[("Content-Length", "1")])
    request.target = f"/{bucket}/{sent}"
    assert raw.send_bytes(request.head() + b"a", "PUT").status == 200
    try:
        listed = s3.list_objects_v2(Bucket=bucket, EncodingType="url")["Contents"]
        assert [entry["Key"] for entry in listed] == [quote(key, safe="/~")]
        assert raw.send("GET", f"/{bucket}/{quote(key, safe='/')}").body == b"a"
    finally:
        assert raw.send("DELETE", f"/{bucket}/{quote(key, safe='/')}").status == 204


@pytest.mark.parametrize(
    ("signed", "sent"), [("b", "a/../b"), ("a/b", "a//b"), ("a", "./a"), ("a", "a/"), ("a%2Bb", "a%20b"), ("a%20b", "a+b")]
)
def test_authentication_of_a_path_signed_as_another_is_refused(
    raw: RawClient, s3: Any, bucket: str, signed: str, sent: str
) -> None:
    request = raw.sign("PUT", f"/{bucket}/{signed}", body=b"a", unsigned_headers=[("Content-Length", "1")])
    request.target = f"/{bucket}/{sent}"
    refused = refusal_of(raw.send_bytes(request.head() + b"a", "PUT"))
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("path", ["%FF", "%00", "a%00b", "%C3%28", "%ED%A0%80"])
def test_authentication_of_a_path_that_is_not_text_is_refused(raw: RawClient, bucket: str, path: str) -> None:
    refused = refusal_of(raw.send("PUT", f"/{bucket}/{path}", body=b"a"))
    assert (refused.status, refused.code) == (400, "InvalidURI")


@pytest.mark.parametrize(
    ("signed", "sent"),
    [("prefix=a%2Fb", "prefix=a/b"), ("prefix=a%20b", "prefix=a+b"), ("delimiter=&prefix=x", "prefix=x&delimiter")],
)
def test_authentication_of_queries_in_odd_encodings(raw: RawClient, bucket: str, signed: str, sent: str) -> None:
    request = raw.sign("GET", f"/{bucket}", signed)
    request.target = f"/{bucket}?{sent}"
    assert raw.send_bytes(request.head()).status == 200
