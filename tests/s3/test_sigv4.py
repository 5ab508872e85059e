"""Valid signatures: AWS's published examples, and requests signed by botocore."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from post3.errors import SignatureDoesNotMatch
from post3.s3.request import S3Request
from post3.s3.sigv4 import SigningContext, canonical_path, canonical_query, parse_signature, verify_signature

from .signing import ACCESS_KEY, EMPTY_SHA256, NOW, SECRET, TIMESTAMP, authorization, make_request

HOST = {"host": "examplebucket.s3.amazonaws.com"}
PUT_HASH = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLES = {
    "get object": make_request(
        "GET",
        "/test.txt",
        "",
        {
            **HOST,
            "range": "bytes=0-9",
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": TIMESTAMP,
            "authorization": authorization(
                "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
        },
    ),
    "put object": make_request(
        "PUT",
        "/test%24file.text",
        "",
        {
            **HOST,
            "date": "Fri, 24 May 2013 00:00:00 GMT",
            "x-amz-content-sha256": PUT_HASH,
            "x-amz-date": TIMESTAMP,
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "authorization": authorization(
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
        },
    ),
    "get bucket lifecycle": make_request(
        "GET",
        "/",
        "lifecycle",
        {
            **HOST,
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": TIMESTAMP,
            "authorization": authorization(
                "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
            ),
        },
    ),
    "list objects": make_request(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        {
            **HOST,
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": TIMESTAMP,
            "authorization": authorization(
                "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
            ),
        },
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    "presigned get object": make_request(
        "GET",
        "/test.txt",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        HOST,
    ),
}


def verify(request: S3Request, secret: str = SECRET, now: datetime = NOW) -> SigningContext:
    return verify_signature(request, parse_signature(request), secret, now)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_aws_verifies(name: str) -> None:
    request = EXAMPLES[name]
    context = verify(request)
    assert parse_signature(request).access_key == ACCESS_KEY
    assert context.seed_signature == parse_signature(request).signature
    assert context.scope == "20130524/us-east-1/s3/aws4_request"


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_of_aws_with_another_secret_is_refused(name: str) -> None:
    with pytest.raises(SignatureDoesNotMatch):
        verify(EXAMPLES[name], "wrong")


KEYS = [
    "a",
    "a b+c",
    "%2F",
    "a%2Fb",
    "ü",
    "..",
    "../x/./y",
    "//",
    "/a//b/",
    "~*'()!$&,;=:@",
    "a?b#c",
    "\U0001f600",
    "a\tb\n",
    "-_.~",
]
CREDENTIALS = Credentials(ACCESS_KEY, SECRET)


def sent(aws: AWSRequest) -> S3Request:
    """Return the request as botocore sends it."""
    url = urlsplit(aws.prepare().url)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in aws.headers.items()}
    return make_request(aws.method, url.path, url.query, {"host": url.netloc, **headers}, aws.data or b"")


def recently() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "garage", "auto"])
@pytest.mark.parametrize("key", KEYS)
def test_header_signature_of_botocore_verifies_with_key(key: str, region: str) -> None:
    aws = AWSRequest("PUT", f"http://localhost:9000/bucket/{quote(key, safe='/~')}", data=b"body")
    aws.headers["x-amz-meta-spaced"] = "  a   b  "
    S3SigV4Auth(CREDENTIALS, "s3", region).add_auth(aws)
    request = sent(aws)
    assert request.key == key
    assert parse_signature(request).region == region
    verify(request, now=recently())


@pytest.mark.parametrize("key", KEYS)
def test_presigned_url_of_botocore_verifies_with_key(key: str) -> None:
    aws = AWSRequest("GET", f"https://h.example/bucket/{quote(key, safe='/~')}", params={"response-content-type": "a b+c/ü"})
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=60).add_auth(aws)
    request = sent(aws)
    assert request.key == key and request.query["response-content-type"] == "a b+c/ü"
    assert parse_signature(request).expires == 60
    verify(request, now=recently())


@pytest.mark.parametrize("value", ["a b", "a+b", "%2F", "ü", "a=b&c", "", "~"])
def test_query_value_signed_by_botocore_verifies(value: str) -> None:
    aws = AWSRequest("GET", "http://localhost/bucket", params={"prefix": value, "list-type": "2", "Z": "1", "a": "1"})
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(aws)
    request = sent(aws)
    assert request.query["prefix"] == value
    verify(request, now=recently())


@pytest.mark.parametrize("change", ["method", "path", "query", "header", "hash", "host"])
def test_request_changed_after_signing_is_refused(change: str) -> None:
    aws = AWSRequest("PUT", "http://localhost/bucket/key", params={"partNumber": "1"}, data=b"body")
    aws.headers["x-amz-meta-a"] = "?"
    S3SigV4Auth(CREDENTIALS, "s3", "us-east-1").add_auth(aws)
    request = sent(aws)
    verify(request, now=recently())
    match change:
        case "method":
            request.method = "DELETE"
        case "path":
            request.raw_path = "/bucket/key/"
        case "query":
            request.raw_query = "partNumber=2"
        case "header":
            request.headers["x-amz-meta-a"] = "€"  # not Latin-1: must not become the "?" that was signed
        case "hash":
            request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        case "host":
            del request.headers["host"]
    with pytest.raises(SignatureDoesNotMatch) as raised:
        verify(request, now=recently())
    assert raised.value.fields["AWSAccessKeyId"] == ACCESS_KEY
    assert raised.value.fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20")
    assert raised.value.fields["CanonicalRequest"].startswith(request.method + "\n")
    assert raised.value.fields["SignatureProvided"] == parse_signature(request).signature


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_header_value_beyond_ascii_verifies_as_utf8_and_as_latin1(encoding: str) -> None:
    import hashlib
    import hmac

    from .signing import SCOPE, example_context

    names = "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a"
    canonical = f"GET\n/b/k\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{TIMESTAMP}\n".encode()
    canonical += b"x-amz-meta-a:" + "grün".encode(encoding) + f"\n\n{names}\nUNSIGNED-PAYLOAD".encode()
    to_sign = f"AWS4-HMAC-SHA256\n{TIMESTAMP}\n{SCOPE}\n{hashlib.sha256(canonical).hexdigest()}"
    signature = hmac.new(example_context("").signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {"host": "h", "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": TIMESTAMP, "x-amz-meta-a": "grün"}
    headers["authorization"] = authorization(names, signature)
    verify(make_request("GET", "/b/k", "", headers))
    headers["x-amz-meta-a"] = "grun"
    with pytest.raises(SignatureDoesNotMatch):
        verify(make_request("GET", "/b/k", "", headers))


def test_date_header_alone_is_accepted() -> None:
    import hashlib
    import hmac

    from .signing import SCOPE, example_context

    canonical = f"GET\n/\n\ndate:Fri, 24 May 2013 00:00:00 GMT\nhost:h\nx-amz-content-sha256:{EMPTY_SHA256}\n\n"
    canonical += f"date;host;x-amz-content-sha256\n{EMPTY_SHA256}"
    to_sign = f"AWS4-HMAC-SHA256\n{TIMESTAMP}\n{SCOPE}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(example_context("").signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {"host": "h", "x-amz-content-sha256": EMPTY_SHA256, "date": "Fri, 24 May 2013 00:00:00 GMT"}
    headers["authorization"] = authorization("date;host;x-amz-content-sha256", signature)
    verify(make_request("GET", "/", "", headers))
    with pytest.raises(SignatureDoesNotMatch):
        verify(make_request("GET", "/x", "", headers), now=NOW + timedelta(minutes=1))


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/a+b", "/a%2Bb"),
        ("/a%2bb", "/a%2Bb"),
        ("/%7Ea*", "/~a%2A"),
        ("/a%252Fb", "/a%252Fb"),
        ("/a//b/../c/", "/a//b/../c/"),
        ("/\xc3\xbc", "/%C3%BC"),
    ],
)
def test_canonical_path_encodes_once_and_normalises_nothing(raw: str, canonical: str) -> None:
    assert canonical_path(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("acl", "acl="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1", "a=1&a=2"),
        ("A=1&a=1&Z=", "A=1&Z=&a=1"),
        ("p=a+b", "p=a%20b"),
        ("p=a%2Bb%2f", "p=a%2Bb%2F"),
        ("&&a=b=c&", "a=b%3Dc"),
        ("a=1&X-Amz-Signature=0", "a=1"),
    ],
)
def test_canonical_query_is_sorted_and_encoded(raw: str, canonical: str) -> None:
    assert canonical_query(raw) == canonical
