"""Operations on buckets."""

from ...errors import MalformedXML, S3NotImplemented
from ...s3 import responses
from ...s3.payload import open_document
from ...s3.reading import Element, parse
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import buckets

_MAX_DOCUMENT = 64 << 10


def create_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (B011 to B017)"""
    document = parse(open_document(request, request.signing, _MAX_DOCUMENT), "CreateBucketConfiguration")
    location = _location_of(document) if document else None
    buckets.create_bucket(request.bucket, request.caller, location)
    host = request.forwarded_host or request.header("host")
    url = f"{'https' if request.secure else 'http'}://{host}/{request.bucket}/"  # D72
    headers = {"Location": url if location else f"/{request.bucket}", "x-amz-bucket-arn": f"arn:aws:s3:::{request.bucket}"}
    return responses.empty(200, headers)


def _location_of(configuration: Element) -> str | None:
    """Return the LocationConstraint, or None if there is none.

    Raises NotImplemented for elements of AWS that post3 lacks, MalformedXML for unknown elements.
    """
    for element in configuration.children:
        if element.name in ("Location", "Bucket") or (element.name == "Tags" and element.children):
            raise S3NotImplemented(f"{element.name} of CreateBucketConfiguration is not implemented.", Element=element.name)
        if element.name not in ("LocationConstraint", "Tags"):
            raise MalformedXML()
    return configuration.text_of("LocationConstraint") or None


def head_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html (B018)"""
    bucket = request.grant.bucket
    headers = {
        "x-amz-bucket-region": buckets.region_of(bucket.region),
        "x-amz-access-point-alias": "false",
        "x-amz-bucket-arn": f"arn:aws:s3:::{bucket.name}",
        "Content-Type": "application/xml",
    }
    return responses.empty(200, headers)


def get_bucket_location(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html (B019)"""
    location = request.grant.bucket.region
    return responses.xml("LocationConstraint", "" if location == "us-east-1" else location)


def delete_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html (B020)"""
    buckets.delete_bucket(request.grant)
    return responses.empty(204)
