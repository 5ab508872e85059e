"""CreateBucket: PUT /bucket."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from ..helpers import headers_of, query, refusal, refusal_of, status_of
from ..raw import RawClient
from ..servers import Server


@pytest.fixture
def name(s3: Any) -> Iterator[str]:
    """Yield an unused bucket name. Delete the bucket if the test created it."""
    name = f"made-{uuid.uuid4().hex[:16]}"
    yield name
    if any(bucket["Name"] == name for bucket in s3.list_buckets()["Buckets"]):
        s3.delete_bucket(Bucket=name)


def test_create_bucket_returns_location_and_arn(s3: Any, name: str) -> None:
    # B017
    answer = s3.create_bucket(Bucket=name)
    headers = headers_of(answer)
    assert status_of(answer) == 200
    assert headers["location"] == f"/{name}"
    assert headers["x-amz-bucket-arn"] == f"arn:aws:s3:::{name}"
    assert headers["content-length"] == "0"
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_create_bucket_with_trailing_slash_creates_the_same_bucket(s3: Any, raw: RawClient, name: str) -> None:
    response = raw.send("PUT", f"/{name}/")
    assert (response.status, response.body) == (200, b"")
    assert status_of(s3.head_bucket(Bucket=name)) == 200


def test_create_bucket_again_by_its_owner_changes_nothing(s3: Any, bucket: str, server: Server) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    before = query(server, "SELECT id, created_at FROM post3_bucket WHERE name = ?", [bucket])
    assert status_of(s3.create_bucket(Bucket=bucket)) == 200  # B011
    assert query(server, "SELECT id, created_at FROM post3_bucket WHERE name = ?", [bucket]) == before
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_create_bucket_again_with_a_location_constraint_is_refused(s3: Any, bucket: str) -> None:
    refused = refusal(s3.create_bucket, Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert (refused.status, refused.code) == (409, "BucketAlreadyOwnedByYou")
    assert refused.message == "Your previous request to create the named bucket succeeded and you already own it."
    assert refused.fields == {"BucketName": bucket}


def test_create_bucket_that_another_user_owns_is_refused(bucket: str, server: Server, raw: RawClient) -> None:
    # B012
    raw.access_key, raw.secret_key = server.create_api_key("another")
    refused = refusal_of(raw.send("PUT", f"/{bucket}"))
    assert (refused.status, refused.code) == (409, "BucketAlreadyExists")
    assert refused.fields == {"BucketName": bucket}


@pytest.mark.parametrize(
    "name",
    [
        *("ab", "a" * 64, "Upper", "under_score", "-start", "end-", ".start", "end.", "a..b", "192.168.5.4", "xn--abc"),
        *("sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3"),
        *("gr%C3%BCn", "a%20b", "a%0Ab"),
    ],
)
def test_create_bucket_with_an_invalid_name_is_refused(raw: RawClient, name: str) -> None:
    # B013, B014
    refused = refusal_of(raw.send("PUT", f"/{name}"))
    assert (refused.status, refused.code) == (400, "InvalidBucketName")
    assert refused.message == "The specified bucket is not valid."
    assert set(refused.fields) == {"BucketName"}


def test_create_bucket_with_the_longest_and_the_shortest_names(s3: Any) -> None:
    unique = uuid.uuid4().hex
    for name in (f"{unique}{unique[:31]}", f"{unique[:3]}", f"a.b-{unique[:6]}"):
        assert status_of(s3.create_bucket(Bucket=name)) == 200
        s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("region", ["eu-central-1", "EU"])
def test_create_bucket_with_a_location_constraint_keeps_it(s3: Any, name: str, region: str) -> None:
    # B015
    answer = s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    assert status_of(answer) == 200
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == region


@pytest.mark.parametrize("region", ["us-east-1", "nowhere", "EU-WEST-1"])
def test_create_bucket_with_a_wrong_location_constraint_is_refused(raw: RawClient, name: str, region: str) -> None:
    # B015
    body = f"<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    refused = refusal_of(raw.send("PUT", f"/{name}", body=body.encode()))
    assert (refused.status, refused.code) == (400, "InvalidLocationConstraint")
    assert refused.message == "The specified location-constraint is not valid"
    assert refused.fields == {"LocationConstraint": region}
    assert raw.send("HEAD", f"/{name}").status == 404


def test_create_bucket_with_an_empty_configuration_is_like_without(raw: RawClient, name: str) -> None:
    body = b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></CreateBucketConfiguration>'
    assert raw.send("PUT", f"/{name}", body=body).status == 200


@pytest.mark.parametrize(
    "body",
    [
        *(b"<CreateBucketConfiguration>", b"nonsense", b"<Delete/>"),
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><CreateBucketConfiguration>&b;</CreateBucketConfiguration>",
    ],
)
def test_create_bucket_with_a_malformed_document_is_refused(raw: RawClient, name: str, body: bytes) -> None:
    refused = refusal_of(raw.send("PUT", f"/{name}", body=body))
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert refused.message == "The XML you provided was not well-formed or did not validate against our published schema"
    assert raw.send("HEAD", f"/{name}").status == 404


CONFIGURATION = "<CreateBucketConfiguration>{}</CreateBucketConfiguration>"
TAGS = "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"


@pytest.mark.parametrize(
    ("element", "inner"),
    [
        ("Tags", TAGS),
        ("Tags", f"<LocationConstraint>eu-west-1</LocationConstraint>{TAGS}"),
        ("Tags", "<Tags>" + "<Tag><Key>a</Key><Value>b</Value></Tag>" * 50 + "</Tags>"),
        ("Location", "<Location><Type>AvailabilityZone</Type><Name>use1-az4</Name></Location>"),
        ("Bucket", "<Bucket><DataRedundancy>SingleAvailabilityZone</DataRedundancy><Type>Directory</Type></Bucket>"),
    ],
)
def test_create_bucket_with_unimplemented_features_creates_none(raw: RawClient, name: str, element: str, inner: str) -> None:
    refused = refusal_of(raw.send("PUT", f"/{name}", body=CONFIGURATION.format(inner).encode()))
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert element in refused.message and refused.fields == {"Element": element}
    assert raw.send("HEAD", f"/{name}").status == 404


@pytest.mark.parametrize("tags", ["<Tags/>", "<Tags></Tags>", "<Tags>\n</Tags>"])
def test_create_bucket_with_no_tags_is_like_without(s3: Any, raw: RawClient, name: str, tags: str) -> None:
    assert raw.send("PUT", f"/{name}", body=CONFIGURATION.format(tags).encode()).status == 200  # B148
    assert status_of(s3.create_bucket(Bucket=name)) == 200


@pytest.mark.parametrize(
    "inner",
    [
        "<Nonsense/>",
        "<locationConstraint>eu-west-1</locationConstraint>",
        "<LocationConstraint>eu-west-1</LocationConstraint><LocationConstraint>eu-west-2</LocationConstraint>",
        '<LocationConstraint xmlns="http://example.com/">eu-west-1</LocationConstraint>',
    ],
)
def test_create_bucket_with_elements_that_s3_does_not_have_is_refused(raw: RawClient, name: str, inner: str) -> None:
    refused = refusal_of(raw.send("PUT", f"/{name}", body=CONFIGURATION.format(inner).encode()))
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert raw.send("HEAD", f"/{name}").status == 404


@pytest.mark.parametrize("region", ["eu-central-1", "EU", "us-west-2", "ap-southeast-1"])
def test_create_bucket_with_a_location_constraint_returns_a_url(
    s3: Any, raw: RawClient, server: Server, name: str, region: str
) -> None:
    answer = s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    assert headers_of(answer)["location"] == f"{server.url}/{name}/"  # B017, D72
    assert raw.send("HEAD", f"/{name}/").status == 200
