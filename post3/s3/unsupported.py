"""Headers for S3 features that post3 lacks. Ignoring them would mislead clients, so they are refused with 501.

The rows of `api/operations.py` use the groups below to declare which headers AWS's operation has. A header that only
states the default requests nothing and is accepted (B132), as is an empty one. Unknown headers are ignored, as AWS
ignores them (D70). SDKs send some of these (`x-amz-api-version`).

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html, API_CopyObject, API_CreateMultipartUpload,
API_CreateBucket, API_GetObject, API_DeleteObject.
"""

from ..errors import InvalidArgument, S3NotImplemented
from .request import S3Request

ACL = (
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
)
ENCRYPTION = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
)
CUSTOMER_KEY = (
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
)
SOURCE_CUSTOMER_KEY = tuple(name.replace("x-amz-", "x-amz-copy-source-") for name in CUSTOMER_KEY)
OBJECT_LOCK = (
    "x-amz-object-lock-event-hold",
    "x-amz-object-lock-event-hold-duration-days",
    "x-amz-object-lock-event-hold-duration-years",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
)
#: Headers that requests for a new object can have.
NEW_OBJECT = (*ACL, *ENCRYPTION, *CUSTOMER_KEY, *OBJECT_LOCK, "x-amz-tagging", "x-amz-website-redirect-location")
COPY = (*NEW_OBJECT, *SOURCE_CUSTOMER_KEY, "x-amz-object-annotation-directive", "x-amz-tagging-directive")
NEW_BUCKET = (*ACL, "x-amz-bucket-namespace", "x-amz-bucket-object-lock-enabled", "x-amz-object-ownership")
DELETE = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size")

_FALSE = frozenset(("false", "False", "FALSE"))
#: Header -> the values that only state the default. A header that is not listed has no such value.
_DEFAULTS: dict[str, frozenset[str]] = {
    "x-amz-acl": frozenset(("private", "bucket-owner-full-control")),
    "x-amz-bucket-namespace": frozenset(("global",)),
    "x-amz-bucket-object-lock-enabled": _FALSE,
    "x-amz-object-annotation-directive": frozenset(("COPY",)),
    "x-amz-object-lock-event-hold": frozenset(("OFF",)),
    "x-amz-object-lock-legal-hold": frozenset(("OFF",)),
    "x-amz-object-ownership": frozenset(("BucketOwnerEnforced",)),
    "x-amz-server-side-encryption-bucket-key-enabled": _FALSE,
    "x-amz-tagging-directive": frozenset(("COPY",)),
}
#: Header -> the other values that AWS accepts. Any other value is the client's error, as in AWS.
_VALUES: dict[str, frozenset[str]] = {
    "x-amz-acl": frozenset(
        ("public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "log-delivery-write")
    ),
    "x-amz-object-ownership": frozenset(("BucketOwnerPreferred", "ObjectWriter")),
    "x-amz-tagging-directive": frozenset(("REPLACE",)),
}


def refuse_unsupported(request: S3Request, names: frozenset[str]) -> None:
    """Raise NotImplemented for a header in `names` that is not at its default, InvalidArgument for an invalid value."""
    for name in request.headers:
        if name in names and (value := request.headers[name].strip()) and value not in _DEFAULTS.get(name, ()):
            if name in _VALUES and value not in _VALUES[name]:
                raise InvalidArgument(ArgumentName=name, ArgumentValue=value)
            raise S3NotImplemented(Header=name)
