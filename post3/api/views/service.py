"""Operations on the service."""

from ...errors import InvalidArgument
from ...s3 import parameters, responses
from ...s3.documents import Node
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import buckets

_MAX_BUCKETS = 10_000


def list_buckets(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html (B021, B022)"""
    query = request.query
    limit = parameters.page_size(request, "max-buckets", "max-buckets", _MAX_BUCKETS)
    if limit == 0:
        raise InvalidArgument(ArgumentName="max-buckets", ArgumentValue="0")
    prefix = query.get("prefix", "")
    after = parameters.read_token(request) if query.get("continuation-token") else ""
    found = buckets.list_buckets(request.caller.user_id, prefix, query.get("bucket-region"), after, limit + 1)
    paged = not query.keys().isdisjoint(("max-buckets", "prefix", "continuation-token", "bucket-region"))
    nodes: list[Node] = [
        (
            "Bucket",
            [
                ("Name", bucket.name),
                ("CreationDate", bucket.created_at),
                ("BucketRegion", buckets.region_of(bucket.region) if paged else None),
                ("BucketArn", f"arn:aws:s3:::{bucket.name}"),
            ],
        )
        for bucket in found[:limit]
    ]
    return responses.xml(
        "ListAllMyBucketsResult",
        [
            ("Owner", [("ID", request.caller.owner_id)]),
            ("Buckets", nodes),
            ("ContinuationToken", parameters.make_token(found[limit - 1].name) if len(found) > limit else None),
            ("Prefix", prefix if "prefix" in query else None),
        ],
    )
