"""The table of operations: the shape of a request -> its view, the action it requires, and the names that it reads.

A shape is the method, the subresources among the query parameters (`?uploads`) and the headers that select an operation
(`+x-amz-copy-source`). The table lists every S3 operation; those without a view are not implemented.
`tests/test_readme.py` checks README's table of operations against this one.

A name is known only to the operations that read it (D70). Each row declares the query parameters and `x-amz-*` headers
that its operation reads, besides those of the signature. `tests/api/test_declared_names.py` records what the views
read and compares. `_refuse_unknown` decides about unknown query parameters. Unknown headers are ignored. Headers that
request a feature of AWS's operation that post3 lacks are in `lacks` (`s3/unsupported.py`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..access.callers import ANONYMOUS
from ..access.permissions import AccessRequest
from ..catalogue.buckets import BucketState
from ..errors import InvalidArgument, InvalidURI, MethodNotAllowed, S3NotImplemented
from ..s3 import unsupported
from ..s3.headers import is_adopted
from ..s3.request import S3Request
from ..s3.responses import S3Response
from .views import buckets, copies, listings, multipart, objects, service

View = Callable[[S3Request], S3Response]


@dataclass(frozen=True, slots=True)
class Operation:
    """AWS's name of the operation, the IAM action that it requires, and its view (None: not implemented)."""

    name: str
    action: str
    view: View | None = None
    #: Query parameters and `x-amz-*` headers that the operation reads.
    parameters: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    #: `x-amz-*` headers that request a feature of AWS's operation that post3 lacks.
    lacks: frozenset[str] = frozenset()
    #: Replaces `action` if the query names a version.
    version_action: str = ""
    #: The action also required on the source of a copy.
    source_action: str = ""
    #: Whether `action` is required on each key in the body instead of on the bucket. Anonymous callers need both.
    on_each_key: bool = False
    #: Whether the bucket's state must be loaded from the catalogue. Otherwise a state in memory is enough, because the
    #: service compares `config_version`.
    fresh: bool = False

    def questions(self, request: S3Request, state: BucketState) -> Iterator[AccessRequest]:
        """Yield everything that must be allowed on the bucket before the view is called."""
        if self.on_each_key and request.caller is not ANONYMOUS:  # an anonymous request is refused before its body is read
            return
        asked = AccessRequest(request.caller, self.action, request.bucket, request.key, state=state)
        if self.version_action and request.query and (version_id := request.query.get("versionId")):
            asked = asked._replace(action=self.version_action, context={"s3:VersionId": version_id})
        yield asked


def _implemented(view: View, action: str, reads: str = "", lacks: Iterable[str] = (), **others: Any) -> Operation:
    """Return the row of an implemented operation. `reads` lists header names, and query parameters as `?name`."""
    name = "".join(word.capitalize() for word in view.__name__.split("_"))
    names = reads.split()
    parameters = frozenset(name[1:] for name in names if name.startswith("?"))
    headers = frozenset(name for name in names if not name.startswith("?"))
    return Operation(name, action, view, parameters, headers, frozenset(lacks), **others)


def _configuration(resource: str, name: str, *methods: str) -> dict[str, Operation]:
    """Return the rows of a configuration that is read, written and deleted as a whole. Not implemented yet."""
    verbs = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}
    return {
        f"{method} ?{resource}": Operation(f"{verbs[method]}Bucket{name}", f"s3:{verbs[method]}Bucket{name}")
        for method in methods
    }


def _numbered(resource: str, name: str) -> dict[str, Operation]:
    """Return the rows of a configuration that a bucket can have several of, each with an id. Not implemented yet."""
    rows = _configuration(resource, f"{name}Configuration", "GET", "PUT", "DELETE")
    one = rows.pop(f"GET ?{resource}")
    listing = Operation(f"ListBucket{name}Configurations", one.action)
    return {**rows, f"GET ?{'&'.join(sorted((resource, 'id')))}": one, f"GET ?{resource}": listing}


#: Query parameters of every operation. `x-id` is the name of the operation, which SDKs send and S3 does not read.
EVERYWHERE = frozenset(("x-id",))

_OWNER = "x-amz-expected-bucket-owner"
_PAGE = "?delimiter ?encoding-type ?prefix"
_BODY = (
    "x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 x-amz-checksum-sha256 "
    "x-amz-content-sha256 x-amz-decoded-content-length x-amz-sdk-checksum-algorithm x-amz-trailer"
)
_METADATA = "x-amz-meta-* x-amz-storage-class"
_SOURCE = (
    "x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-modified-since x-amz-copy-source-if-none-match "
    "x-amz-copy-source-if-unmodified-since x-amz-source-expected-bucket-owner"
)
_READ = (
    "?partNumber ?versionId ?response-cache-control ?response-content-disposition ?response-content-encoding "
    "?response-content-language ?response-content-type ?response-expires x-amz-checksum-mode"
)

SERVICE = {
    "GET": _implemented(service.list_buckets, "s3:ListAllMyBuckets", "?bucket-region ?continuation-token ?max-buckets ?prefix"),
}

BUCKET = {
    "GET": _implemented(listings.list_objects, "s3:ListBucket", f"{_PAGE} ?marker ?max-keys {_OWNER}"),
    "GET ?list-type": _implemented(
        listings.list_objects_v2,
        "s3:ListBucket",
        f"{_PAGE} ?continuation-token ?fetch-owner ?list-type ?marker ?max-keys ?start-after {_OWNER}",
    ),
    "GET ?location": _implemented(buckets.get_bucket_location, "s3:GetBucketLocation", f"?location {_OWNER}", fresh=True),
    "GET ?uploads": _implemented(
        multipart.list_multipart_uploads,
        "s3:ListBucketMultipartUploads",
        f"{_PAGE} ?key-marker ?max-uploads ?upload-id-marker ?uploads {_OWNER}",
    ),
    "HEAD": _implemented(buckets.head_bucket, "s3:ListBucket", _OWNER, fresh=True),
    "PUT": _implemented(buckets.create_bucket, "s3:CreateBucket", _BODY, unsupported.NEW_BUCKET),
    "DELETE": _implemented(buckets.delete_bucket, "s3:DeleteBucket", _OWNER),
    "POST ?delete": _implemented(
        objects.delete_objects,
        "s3:DeleteObject",
        f"?delete {_BODY} x-amz-bypass-governance-retention {_OWNER}",
        on_each_key=True,
        fresh=True,
    ),
    "GET ?versions": Operation("ListObjectVersions", "s3:ListBucketVersions"),
    "GET ?policyStatus": Operation("GetBucketPolicyStatus", "s3:GetBucketPolicyStatus"),
    "POST": Operation("PostObject", "s3:PutObject"),
    "GET ?session": Operation("CreateSession", "s3express:CreateSession"),
    **_configuration("accelerate", "AccelerateConfiguration", "GET", "PUT"),
    **_configuration("acl", "Acl", "GET", "PUT"),
    **_configuration("cors", "Cors", "GET", "PUT", "DELETE"),
    **_configuration("encryption", "Encryption", "GET", "PUT", "DELETE"),
    **_configuration("lifecycle", "LifecycleConfiguration", "GET", "PUT", "DELETE"),
    **_configuration("logging", "Logging", "GET", "PUT"),
    **_configuration("metadataConfiguration", "MetadataConfiguration", "GET", "DELETE"),
    **_configuration("metadataTable", "MetadataTableConfiguration", "GET", "DELETE"),
    **_configuration("notification", "NotificationConfiguration", "GET", "PUT"),
    **_configuration("object-lock", "ObjectLockConfiguration", "GET", "PUT"),
    **_configuration("ownershipControls", "OwnershipControls", "GET", "PUT", "DELETE"),
    **_configuration("policy", "Policy", "GET", "PUT", "DELETE"),
    **_configuration("publicAccessBlock", "PublicAccessBlock", "GET", "PUT", "DELETE"),
    **_configuration("replication", "Replication", "GET", "PUT", "DELETE"),
    **_configuration("requestPayment", "RequestPayment", "GET", "PUT"),
    **_configuration("tagging", "Tagging", "GET", "PUT", "DELETE"),
    **_configuration("versioning", "Versioning", "GET", "PUT"),
    **_configuration("website", "Website", "GET", "PUT", "DELETE"),
    **_numbered("analytics", "Analytics"),
    **_numbered("intelligent-tiering", "IntelligentTiering"),
    **_numbered("inventory", "Inventory"),
    **_numbered("metrics", "Metrics"),
}

OBJECT = {
    "GET": _implemented(
        objects.get_object,
        "s3:GetObject",
        f"{_READ} {_OWNER}",
        unsupported.CUSTOMER_KEY,
        version_action="s3:GetObjectVersion",
    ),
    "HEAD": _implemented(
        objects.head_object,
        "s3:GetObject",
        f"{_READ} {_OWNER}",
        unsupported.CUSTOMER_KEY,
        version_action="s3:GetObjectVersion",
    ),
    "PUT": _implemented(
        objects.put_object,
        "s3:PutObject",
        f"{_BODY} {_METADATA} {_OWNER}",
        (*unsupported.NEW_OBJECT, "x-amz-write-offset-bytes"),
    ),
    "PUT +x-amz-copy-source": _implemented(
        copies.copy_object,
        "s3:PutObject",
        f"{_SOURCE} {_METADATA} x-amz-checksum-algorithm x-amz-metadata-directive {_OWNER}",
        unsupported.COPY,
        source_action="s3:GetObject",
    ),
    "DELETE": _implemented(
        objects.delete_object,
        "s3:DeleteObject",
        f"?versionId x-amz-bypass-governance-retention {_OWNER}",
        unsupported.DELETE,
        version_action="s3:DeleteObjectVersion",
    ),
    "POST ?uploads": _implemented(
        multipart.create_multipart_upload,
        "s3:PutObject",
        f"?uploads {_METADATA} x-amz-checksum-algorithm x-amz-checksum-type {_OWNER}",
        unsupported.NEW_OBJECT,
    ),
    "PUT ?partNumber&uploadId": _implemented(
        multipart.upload_part,
        "s3:PutObject",
        f"?partNumber ?uploadId {_BODY} {_OWNER}",
        unsupported.CUSTOMER_KEY,
    ),
    "PUT ?partNumber&uploadId +x-amz-copy-source": _implemented(
        copies.upload_part_copy,
        "s3:PutObject",
        f"?partNumber ?uploadId {_SOURCE} x-amz-copy-source-range {_OWNER}",
        (*unsupported.CUSTOMER_KEY, *unsupported.SOURCE_CUSTOMER_KEY),
        source_action="s3:GetObject",
    ),
    "POST ?uploadId": _implemented(
        multipart.complete_multipart_upload,
        "s3:PutObject",
        f"?uploadId {_BODY} x-amz-checksum-type x-amz-mp-object-size {_OWNER}",
        unsupported.CUSTOMER_KEY,
    ),
    "DELETE ?uploadId": _implemented(
        multipart.abort_multipart_upload,
        "s3:AbortMultipartUpload",
        f"?uploadId {_OWNER}",
        ("x-amz-if-match-initiated-time",),
    ),
    "GET ?uploadId": _implemented(
        multipart.list_parts,
        "s3:ListMultipartUploadParts",
        f"?encoding-type ?max-parts ?part-number-marker ?uploadId {_OWNER}",
        unsupported.CUSTOMER_KEY,
    ),
    "GET ?acl": Operation("GetObjectAcl", "s3:GetObjectAcl"),
    "PUT ?acl": Operation("PutObjectAcl", "s3:PutObjectAcl"),
    "GET ?attributes": Operation("GetObjectAttributes", "s3:GetObjectAttributes"),
    "GET ?legal-hold": Operation("GetObjectLegalHold", "s3:GetObjectLegalHold"),
    "PUT ?legal-hold": Operation("PutObjectLegalHold", "s3:PutObjectLegalHold"),
    "GET ?retention": Operation("GetObjectRetention", "s3:GetObjectRetention"),
    "PUT ?retention": Operation("PutObjectRetention", "s3:PutObjectRetention"),
    "GET ?tagging": Operation("GetObjectTagging", "s3:GetObjectTagging"),
    "PUT ?tagging": Operation("PutObjectTagging", "s3:PutObjectTagging"),
    "DELETE ?tagging": Operation("DeleteObjectTagging", "s3:DeleteObjectTagging"),
    "GET ?torrent": Operation("GetObjectTorrent", "s3:GetObjectTorrent"),
    "PUT ?renameObject": Operation("RenameObject", "s3:PutObject"),
    "POST ?restore": Operation("RestoreObject", "s3:RestoreObject"),
    "POST ?select&select-type": Operation("SelectObjectContent", "s3:GetObject"),
    "PUT ?encryption": Operation("UpdateObjectEncryption", "s3:UpdateObjectEncryption"),
}

TABLES = {"SERVICE": SERVICE, "BUCKET": BUCKET, "OBJECT": OBJECT}
#: Level -> the query parameters that select an operation there. On an object, partNumber does so only for PUT; GET and
#: HEAD read it.
SUBRESOURCES = {
    level: frozenset(name for shape in table for part in shape.split() if part.startswith("?") for name in part[1:].split("&"))
    for level, table in TABLES.items()
}
#: Subresources that a bucket can have several of. Only with these does `?id` select an operation.
_NUMBERED = frozenset(("analytics", "intelligent-tiering", "inventory", "metrics"))
METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE"))


def find(request: S3Request) -> tuple[str, Operation | None]:
    """Return the shape of a request, and its row of the table if there is one. Raises InvalidURI."""
    if request.raw_path.startswith("//"):
        raise InvalidURI(URI=request.raw_path)
    level = _level(request)
    shape = request.method
    if request.query:
        reading = request.method in ("GET", "HEAD")
        names = [name for name in request.query if name in SUBRESOURCES[level] and not (name == "partNumber" and reading)]
        if "id" in names and not (request.method == "GET" and _NUMBERED.intersection(names)):
            names.remove("id")
        if names:
            shape = f"{shape} ?{'&'.join(sorted(names))}"
    if request.key and "x-amz-copy-source" in request.headers and request.method == "PUT":
        shape += " +x-amz-copy-source"
    return shape, TABLES[level].get(shape)


def implemented(request: S3Request, shape: str, operation: Operation | None) -> Operation:
    """Return the operation if post3 implements what the request asks for.

    Called after authentication, so that an anonymous client cannot find out what exists (D71).
    Raises NotImplemented, MethodNotAllowed, InvalidArgument.
    """
    if operation is None or (operation.view is None and "?" not in shape):
        _refuse_unknown(request, SUBRESOURCES[_level(request)], shape)
    if operation is None:
        raise _no_such_operation(request, shape)
    if operation.view is None:
        raise S3NotImplemented(f"{operation.name} is not implemented.")
    if request.query:
        _refuse_unknown(request, operation.parameters, operation.name)
    if operation.lacks:
        unsupported.refuse_unsupported(request, operation.lacks)
    return operation


def _level(request: S3Request) -> str:
    return "OBJECT" if request.key else "BUCKET" if request.bucket else "SERVICE"


def _no_such_operation(request: S3Request, shape: str) -> MethodNotAllowed | S3NotImplemented:
    level = _level(request)
    table = TABLES[level]
    if request.method in METHODS and "?" in shape and shape != "PUT ?uploadId":
        names = shape.partition("?")[2].partition(" ")[0]
        return S3NotImplemented(f"{request.method} with ?{names} is not implemented.", Parameter=names)
    resource = "UPLOAD" if shape == "PUT ?uploadId" else level
    allowed = [method for method in sorted(METHODS) if method + shape.removeprefix(request.method) in table]
    return MethodNotAllowed(Method=request.method, ResourceType=resource, headers={"Allow": ", ".join(allowed)})  # B008


def _refuse_unknown(request: S3Request, known: frozenset[str], operation: str) -> None:
    """Refuse a query parameter that the operation does not read (D28), because AWS may add it as a subresource.

    In a read, a parameter with a value is ignored, as at AWS: people add such parameters to bypass caches. The
    parameters of a presigned URL belong to the signature, or have become headers.
    """
    reading, presigned = request.method in ("GET", "HEAD"), "X-Amz-Signature" in request.query
    for name, value in request.query.items():
        if name in known or name in EVERYWHERE or (presigned and is_adopted(name)):
            continue
        if name == "versionId" and not reading:  # B133
            raise InvalidArgument("This operation does not accept a version-id.", ArgumentName=name, ArgumentValue=value)
        if not (reading and value):
            raise S3NotImplemented(f"The query parameter {name} is not implemented for {operation}.", Parameter=name)
