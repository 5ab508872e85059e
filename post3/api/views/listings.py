"""ListObjects and ListObjectsV2."""

from collections.abc import Callable

from ...access.owners import canonical_id
from ...catalogue.rows import CommonPrefix, ListedObject
from ...errors import InvalidArgument
from ...s3 import parameters, responses
from ...s3.documents import Markup, Node, escape, iso_time
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import listings

Encode = Callable[[str], str]


def list_objects(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html (B037 to B048)"""
    query = request.query
    prefix, delimiter, marker = query.get("prefix", ""), query.get("delimiter", ""), query.get("marker", "")
    encode, encoding = _encoder(request)
    limit = parameters.page_size(request, "max-keys", "maxKeys")
    page = listings.list_objects(request.grant, prefix, delimiter, marker, limit, skip_marker_prefix=True)
    nodes: list[Node] = [
        ("Name", request.bucket),
        ("Prefix", encode(prefix)),
        ("Marker", encode(marker)),
        ("NextMarker", encode(page.last) if page.is_truncated and delimiter else None),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", encoding),
        ("IsTruncated", page.is_truncated),
        *_entries(page, encode, owners=True),
    ]
    return responses.xml("ListBucketResult", nodes, {"x-amz-bucket-region": page.region})  # B135


def list_objects_v2(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (B037 to B048)"""
    query = request.query
    if query["list-type"] != "2":
        return list_objects(request)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    encode, encoding = _encoder(request)
    limit = parameters.page_size(request, "max-keys", "maxKeys")
    token = query.get("continuation-token")
    start_after = query.get("start-after")
    after = parameters.read_token(request) if token is not None else start_after or ""
    page = listings.list_objects(request.grant, prefix, delimiter, after, limit, skip_marker_prefix=token is not None)
    nodes: list[Node] = [
        ("Name", request.bucket),
        ("Prefix", encode(prefix)),
        ("ContinuationToken", token),
        ("NextContinuationToken", parameters.make_token(page.last) if page.is_truncated else None),
        ("StartAfter", encode(start_after) if start_after is not None and token is None else None),  # B040
        ("KeyCount", len(page.entries)),
        ("MaxKeys", limit),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", encoding),
        ("IsTruncated", page.is_truncated),
        *_entries(page, encode, owners=_truth(request, "fetch-owner")),
    ]
    return responses.xml("ListBucketResult", nodes, {"x-amz-bucket-region": page.region})  # B135


def _truth(request: S3Request, name: str) -> bool:
    value = request.query.get(name, "")
    if value.lower() not in ("", "true", "false"):
        raise InvalidArgument(ArgumentName=name, ArgumentValue=value)
    return value.lower() == "true"


def _encoder(request: S3Request) -> tuple[Encode, str | None]:
    return (parameters.encode_name, "url") if parameters.url_encoding(request) else (str, None)


def _entries(page: listings.Listing, encode: Encode, owners: bool) -> list[Node]:
    """Return objects first, then common prefixes, as S3 does, although both share one order and one count (B042)."""
    objects = [_contents(entry, encode, owners) for entry in page.entries if isinstance(entry, ListedObject)]
    prefixes = [entry.prefix for entry in page.entries if isinstance(entry, CommonPrefix)]
    return [
        ("", Markup("".join(objects))),
        *responses.common_prefixes(map(encode, prefixes)),
    ]


def _contents(entry: ListedObject, encode: Encode, owners: bool) -> str:
    """Return one object as finished markup. With nodes, a page of a thousand took twice as long."""
    checksum = (
        f"<ChecksumAlgorithm>{entry.checksum_algorithm}</ChecksumAlgorithm><ChecksumType>{entry.checksum_type}</ChecksumType>"
        if entry.checksum_algorithm
        else ""
    )
    owner = f"<Owner><ID>{canonical_id(entry.owner_id)}</ID></Owner>" if owners else ""
    return (
        f"<Contents><Key>{escape(encode(entry.key))}</Key><LastModified>{iso_time(entry.last_modified)}</LastModified>"
        f"<ETag>&quot;{entry.etag}&quot;</ETag>{checksum}<Size>{entry.size}</Size>{owner}"
        f"<StorageClass>{entry.storage_class}</StorageClass></Contents>"
    )
