"""Invalid signatures, each with AWS's error."""

from datetime import timedelta

import pytest

from post3.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
    UnsupportedSignature,
)
from post3.s3.request import S3Request
from post3.s3.sigv4 import is_signed, parse_signature, verify_signature

from .signing import EMPTY_SHA256, NOW, SECRET, TIMESTAMP, authorization, make_request

SIGNED = "host;x-amz-content-sha256;x-amz-date"
#: AWS's "get bucket lifecycle" example.
GOOD = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
HEADERS = {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": TIMESTAMP}
QUERY = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request",
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Expires": "86400",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
}


def by_header(value: str | None = None, **headers: str) -> S3Request:
    value = authorization(SIGNED, GOOD) if value is None else value
    return make_request("GET", "/", "lifecycle", {**HEADERS, "authorization": value, **headers})


def by_query(headers: dict[str, str] | None = None, **changes: str | None) -> S3Request:
    query = {**QUERY, **{name.replace("_", "-"): value for name, value in changes.items()}}
    raw = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
    return make_request("GET", "/test.txt", raw, {"host": HEADERS["host"], **(headers or {})})


def refuse(error: type[S3Error], request: S3Request, text: str = "") -> S3Error:
    with pytest.raises(error) as raised:
        parse_signature(request)
    assert type(raised.value) is error
    assert text in raised.value.text
    return raised.value


def test_requests_of_this_module_verify_when_unchanged() -> None:
    verify_signature(by_header(), parse_signature(by_header()), SECRET, NOW)
    verify_signature(by_query(), parse_signature(by_query()), SECRET, NOW)


def test_request_without_authentication_is_refused() -> None:
    request = make_request("GET", "/", "", {"host": "h"})
    assert not is_signed(request)
    refuse(AccessDenied, request)


def test_signature_version_2_is_refused() -> None:
    request = by_header("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=")
    assert is_signed(request)
    assert refuse(UnsupportedSignature, request, "Please use AWS4-HMAC-SHA256").code == "InvalidRequest"
    request = make_request("GET", "/b/k", "AWSAccessKeyId=AK&Expires=1&Signature=x", {"host": "h"})
    assert is_signed(request)
    refuse(UnsupportedSignature, request)


def test_signature_version_4a_is_refused() -> None:
    refuse(UnsupportedSignature, by_header("AWS4-ECDSA-P256-SHA256 Credential=a/20130524/s3/aws4_request"))


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer x", "", "AWS4-HMAC-SHA512 Credential=x"])
def test_other_authorization_scheme_is_refused(value: str) -> None:
    refuse(InvalidArgument, by_header(value), "Unsupported Authorization Type")


@pytest.mark.parametrize("query", ["X-Amz-Signature=a", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "AWSAccessKeyId=a&Signature=b"])
def test_header_and_query_authentication_together_are_refused(query: str) -> None:
    request = make_request("GET", "/", query, {**HEADERS, "authorization": authorization(SIGNED, GOOD)})
    refuse(InvalidArgument, request, "Only one auth mechanism allowed")


def test_session_token_is_refused() -> None:
    refuse(InvalidToken, by_header(**{"x-amz-security-token": "t"}))
    refuse(InvalidToken, by_query(X_Amz_Security_Token="t"))


def credential(text: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential={text}, SignedHeaders={SIGNED}, Signature={GOOD}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (f"AWS4-HMAC-SHA256 SignedHeaders={SIGNED}, Signature={GOOD}", "missing Credential"),
        ("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, Signature=a", "missing SignedHeaders"),
        ("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, SignedHeaders=host", "missing Signature"),
        ("AWS4-HMAC-SHA256", "is malformed"),
        ("AWS4-HMAC-SHA256 nonsense", 'component "nonsense" is malformed'),
        (authorization(SIGNED, GOOD) + "," + authorization(SIGNED, GOOD), "malformed"),
        (authorization(SIGNED, GOOD) + ",Signature=" + GOOD, "malformed"),
        (credential("AK"), "the Credential is mal-formed"),
        (credential("/20130524/us-east-1/s3/aws4_request"), "non-empty Access Key"),
        (credential("AK/2013524/us-east-1/s3/aws4_request"), "incorrect date format"),
        (credential("AK/20130525/us-east-1/s3/aws4_request"), "Invalid credential date"),
        (credential("AK/20130524//s3/aws4_request"), "incorrect region"),
        (credential("AK/20130524/us-east-1/ec2/aws4_request"), 'incorrect service "ec2"'),
        (credential("AK/20130524/us-east-1/s3/aws_request"), 'incorrect terminal "aws_request"'),
    ],
)
def test_malformed_authorization_header_is_refused(value: str, text: str) -> None:
    refuse(AuthorizationHeaderMalformed, by_header(value), text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        *(({name.replace("-", "_"): None}, "Query-string authentication version 4 requires") for name in QUERY),
        ({"X_Amz_Algorithm": "AWS4-HMAC-SHA512"}, "only supports"),
        ({"X_Amz_Expires": "604801"}, "must be less than a week"),
        ({"X_Amz_Expires": "-1"}, "must be non-negative"),
        ({"X_Amz_Expires": "1.5"}, "should be a number"),
        ({"X_Amz_Expires": "x"}, "should be a number"),
        ({"X_Amz_Expires": "9" * 5000}, "should be a number"),
        ({"X_Amz_Expires": "%D9%A3"}, "should be a number"),  # the Arabic digit three
        ({"X_Amz_Date": "20130524"}, "ISO8601"),
        ({"X_Amz_Date": "20131324T000000Z"}, "ISO8601"),
        ({"X_Amz_Date": "20130525T000000Z"}, "Invalid credential date"),
        ({"X_Amz_Credential": "AK%2F20130524"}, "the Credential is mal-formed"),
        ({"X_Amz_Credential": "AK%2F20130524%2Fus-east-1%2Fsts%2Faws4_request"}, "incorrect service"),
        ({"X_Amz_Credential": "AK%2F20130524%2Fus%0Aeast%2Fs3%2Faws4_request"}, "incorrect region"),
    ],
)
def test_malformed_presigned_query_is_refused(changes: dict[str, str | None], text: str) -> None:
    refuse(AuthorizationQueryParametersError, by_query(**changes), text)


def test_presigned_query_valid_for_exactly_a_week_is_accepted() -> None:
    assert parse_signature(by_query(X_Amz_Expires="604800")).expires == 604_800


@pytest.mark.parametrize("date", ["", "20130524", "20130524T000000", "20130532T000000Z", "yesterday"])
def test_header_authentication_without_valid_date_is_refused(date: str) -> None:
    refuse(AccessDenied, by_header(**{"x-amz-date": date}), "requires a valid Date or x-amz-date header")


def test_header_authentication_without_content_sha256_is_refused() -> None:
    request = by_header()
    del request.headers["x-amz-content-sha256"]
    refuse(InvalidRequest, request, "Missing required header for this request: x-amz-content-sha256")


def test_signature_without_host_is_refused() -> None:
    error = refuse(AccessDenied, by_header(authorization("x-amz-content-sha256;x-amz-date", GOOD)))
    assert error.fields["HeadersNotSigned"] == "host"
    assert refuse(AccessDenied, by_query(X_Amz_SignedHeaders="range")).fields["HeadersNotSigned"] == "host"


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-date", "x-amz-tagging"])
@pytest.mark.parametrize("how", ["header", "presigned"])
def test_amz_header_that_is_not_signed_is_refused(name: str, how: str) -> None:
    if how == "presigned":
        request = by_query({name: "/other/secret"})
    elif name in SIGNED:
        request = by_header(authorization(SIGNED.replace(f";{name}", ""), GOOD))
    else:
        request = by_header(**{name: "/other/secret"})
    with pytest.raises(AccessDenied, match="headers present in the request which were not signed") as raised:
        verify_signature(request, parse_signature(request), SECRET, NOW)
    assert raised.value.fields["HeadersNotSigned"] == name


def test_unsigned_header_that_is_not_amz_is_accepted() -> None:
    request = by_header(**{"content-type": "text/plain", "content-md5": "x", "x-amzn-trace-id": "Root=1"})
    verify_signature(request, parse_signature(request), SECRET, NOW)


def test_signed_header_that_is_absent_is_refused_even_if_signed_as_empty() -> None:
    import hashlib
    import hmac

    from .signing import SCOPE, example_context

    names = "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a"
    canonical = (
        f"GET\n/\n\nhost:h\nx-amz-content-sha256:{EMPTY_SHA256}\nx-amz-date:{TIMESTAMP}\nx-amz-meta-a:\n\n{names}\n{EMPTY_SHA256}"
    )
    to_sign = f"AWS4-HMAC-SHA256\n{TIMESTAMP}\n{SCOPE}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(example_context("").signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    request = make_request("GET", "/", "", {**HEADERS, "host": "h", "authorization": authorization(names, signature)})
    with pytest.raises(SignatureDoesNotMatch):
        verify_signature(request, parse_signature(request), SECRET, NOW)
    request.headers["x-amz-meta-a"] = ""
    verify_signature(request, parse_signature(request), SECRET, NOW)


@pytest.mark.parametrize("minutes", [-16, 16, 60 * 24 * 365])
def test_header_signature_with_skewed_clock_is_refused(minutes: int) -> None:
    with pytest.raises(RequestTimeTooSkewed) as raised:
        verify_signature(by_header(), parse_signature(by_header()), SECRET, NOW + timedelta(minutes=minutes))
    assert raised.value.fields["RequestTime"] == TIMESTAMP
    assert raised.value.fields["MaxAllowedSkewMilliseconds"] == "900000"
    assert raised.value.fields["ServerTime"].endswith("Z")


@pytest.mark.parametrize("minutes", [-15, 15])
def test_header_signature_within_allowed_skew_is_accepted(minutes: int) -> None:
    verify_signature(by_header(), parse_signature(by_header()), SECRET, NOW + timedelta(minutes=minutes))


def test_presigned_request_is_accepted_until_it_expires() -> None:
    signature = parse_signature(by_query())
    verify_signature(by_query(), signature, SECRET, NOW + timedelta(seconds=86_400))
    with pytest.raises(AccessDenied, match="Request has expired") as raised:
        verify_signature(by_query(), signature, SECRET, NOW + timedelta(seconds=86_401))
    assert raised.value.fields == {
        "X-Amz-Expires": "86400",
        "Expires": "2013-05-25T00:00:00Z",
        "ServerTime": "2013-05-25T00:00:01Z",
    }


def test_presigned_request_from_the_future_is_refused() -> None:
    with pytest.raises(AccessDenied, match="Request is not yet valid"):
        verify_signature(by_query(), parse_signature(by_query()), SECRET, NOW - timedelta(minutes=16))


@pytest.mark.parametrize("signature", ["0" * 64, "", "x", GOOD[:-1], GOOD + "0", GOOD.upper(), "ü" * 32])
def test_wrong_signature_is_refused(signature: str) -> None:
    request = by_header(authorization(SIGNED, signature))
    with pytest.raises((SignatureDoesNotMatch, AuthorizationHeaderMalformed)):
        verify_signature(request, parse_signature(request), SECRET, NOW)
