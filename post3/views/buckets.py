"""Operations on buckets."""

from ..s3 import responses
from ..s3.documents import parse, text_of
from ..s3.payload import read_document
from ..s3.request import S3Request
from ..s3.responses import S3Response
from ..services import buckets

_MAX_DOCUMENT = 64 * 1024


def create_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (B011 to B017)"""
    document = read_document(request, request.signing, _MAX_DOCUMENT)
    region = text_of(parse(document, "CreateBucketConfiguration"), "LocationConstraint") if document else None
    buckets.create_bucket(request.bucket, request.identity.user_id, region or None)
    arn = f"arn:aws:s3:::{request.bucket}"
    return responses.empty(200, {"Location": f"/{request.bucket}", "x-amz-bucket-arn": arn})


def head_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html (B018)"""
    bucket = buckets.find_bucket(request.bucket)
    headers = {
        "x-amz-bucket-region": bucket.region,
        "x-amz-access-point-alias": "false",
        "x-amz-bucket-arn": f"arn:aws:s3:::{bucket.name}",
        "Content-Type": "application/xml",
    }
    return responses.empty(200, headers)


def get_bucket_location(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html (B019)"""
    region = buckets.find_bucket(request.bucket).region
    return responses.xml("LocationConstraint", "" if region == "us-east-1" else region)


def delete_bucket(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html (B020)"""
    buckets.delete_bucket(request.bucket)
    return responses.empty(204)
