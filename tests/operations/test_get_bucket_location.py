"""GetBucketLocation: GET /bucket?location."""

import uuid
from typing import Any

import pytest

from ..helpers import refusal_of
from ..raw import RawClient

DOCUMENT = '<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


@pytest.mark.parametrize("end", ["", "/"])
def test_get_bucket_location_of_us_east_1_is_empty(raw: RawClient, bucket: str, end: str) -> None:
    response = raw.send("GET", f"/{bucket}{end}", "location")
    assert response.status == 200
    assert response.headers["content-type"] == "application/xml"
    assert response.body.decode() == f"{DOCUMENT}</LocationConstraint>"  # B019


def test_get_bucket_location_with_a_location_constraint_is_its_text(s3: Any, raw: RawClient) -> None:
    name = f"located-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    try:
        assert raw.send("GET", f"/{name}", "location=").body.decode() == f"{DOCUMENT}eu-west-3</LocationConstraint>"
    finally:
        s3.delete_bucket(Bucket=name)


def test_get_bucket_location_of_a_missing_bucket_is_refused(raw: RawClient) -> None:
    refused = refusal_of(raw.send("GET", "/missing-bucket", "location"))
    assert (refused.status, refused.code) == (404, "NoSuchBucket")
    assert refused.fields == {"BucketName": "missing-bucket"}
