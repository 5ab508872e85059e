"""THE TABLE: the shape of a request -> the view that answers it and the permission it takes.

A shape is the method, the subresources among the query's names (`?uploads`) and the headers that choose an operation
(`+x-amz-copy-source`). Every S3 operation stands here; those without a view are not implemented. README's table of
operations is checked against this one by `tests/test_readme.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .errors import InvalidURI, MethodNotAllowed, S3NotImplemented
from .s3.request import S3Request
from .s3.responses import S3Response
from .views import buckets, copies, listings, multipart, objects, service

View = Callable[[S3Request], S3Response]


@dataclass(frozen=True, slots=True)
class Operation:
    """AWS's name of the operation, the IAM action that permits it, and its view (None: not implemented)."""

    name: str
    permission: str
    view: View | None = None


def _done(view: View, permission: str) -> Operation:
    return Operation("".join(word.capitalize() for word in view.__name__.split("_")), permission, view)


def _configuration(resource: str, name: str, *methods: str) -> dict[str, Operation]:
    """Rows of a configuration that is read, written and deleted whole, not implemented yet."""
    verbs = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}
    return {
        f"{method} ?{resource}": Operation(f"{verbs[method]}Bucket{name}", f"s3:{verbs[method]}Bucket{name}")
        for method in methods
    }


def _numbered(resource: str, name: str) -> dict[str, Operation]:
    """Rows of a configuration of which a bucket has several, by id, not implemented yet."""
    rows = _configuration(resource, f"{name}Configuration", "GET", "PUT", "DELETE")
    rows[f"GET ?{resource} (list)"] = Operation(f"ListBucket{name}Configurations", f"s3:GetBucket{name}Configuration")
    return rows


SERVICE = {
    "GET": _done(service.list_buckets, "s3:ListAllMyBuckets"),
}

BUCKET = {
    "GET": _done(listings.list_objects, "s3:ListBucket"),
    "GET ?list-type": _done(listings.list_objects_v2, "s3:ListBucket"),
    "GET ?location": _done(buckets.get_bucket_location, "s3:GetBucketLocation"),
    "GET ?uploads": _done(multipart.list_multipart_uploads, "s3:ListBucketMultipartUploads"),
    "HEAD": _done(buckets.head_bucket, "s3:ListBucket"),
    "PUT": _done(buckets.create_bucket, "s3:CreateBucket"),
    "DELETE": _done(buckets.delete_bucket, "s3:DeleteBucket"),
    "POST ?delete": _done(objects.delete_objects, "s3:DeleteObject"),
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
    "GET": _done(objects.get_object, "s3:GetObject"),
    "HEAD": _done(objects.head_object, "s3:GetObject"),
    "PUT": _done(objects.put_object, "s3:PutObject"),
    "PUT +x-amz-copy-source": _done(copies.copy_object, "s3:PutObject"),
    "DELETE": _done(objects.delete_object, "s3:DeleteObject"),
    "POST ?uploads": _done(multipart.create_multipart_upload, "s3:PutObject"),
    "PUT ?partNumber&uploadId": _done(multipart.upload_part, "s3:PutObject"),
    "PUT ?partNumber&uploadId +x-amz-copy-source": _done(copies.upload_part_copy, "s3:PutObject"),
    "POST ?uploadId": _done(multipart.complete_multipart_upload, "s3:PutObject"),
    "DELETE ?uploadId": _done(multipart.abort_multipart_upload, "s3:AbortMultipartUpload"),
    "GET ?uploadId": _done(multipart.list_parts, "s3:ListMultipartUploadParts"),
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

#: Names in a query that say nothing about which operation is meant.
PARAMETERS = frozenset(
    (
        "bucket-region continuation-token delimiter encoding-type fetch-owner key-marker marker max-buckets max-keys max-parts "
        "max-uploads part-number-marker prefix response-cache-control response-content-disposition response-content-encoding "
        "response-content-language response-content-type response-expires start-after upload-id-marker version-id-marker "
        "versionId x-id"
    ).split()
)
#: Names that choose an operation; on an object, partNumber does so for PUT alone (GET and HEAD read it as a parameter).
SUBRESOURCES = frozenset(
    name
    for table in (BUCKET, OBJECT)
    for shape in table
    for part in shape.split()
    if part.startswith("?")
    for name in part[1:].split("&")
)
METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE"))


def select(request: S3Request) -> Operation:
    """Return the operation of a request. Raises NotImplemented, MethodNotAllowed, InvalidURI."""
    table = OBJECT if request.key else BUCKET if request.bucket else SERVICE
    if request.raw_path.startswith("//"):
        raise InvalidURI(URI=request.raw_path)
    shape = request.method
    if request.query:
        names = sorted(_subresources(request))
        if names:
            shape = f"{shape} ?{'&'.join(names)}"
    if request.key and "x-amz-copy-source" in request.headers and request.method == "PUT":
        shape += " +x-amz-copy-source"
    operation = table.get(shape)
    if operation is not None and operation.view is not None:
        return operation
    if operation is None and (request.method not in METHODS or "?" not in shape or shape == "PUT ?uploadId"):
        resource = "OBJECT" if request.key else "BUCKET" if request.bucket else "SERVICE"
        if shape == "PUT ?uploadId":
            resource = "UPLOAD"
        allowed = [method for method in sorted(METHODS) if method + shape.removeprefix(request.method) in table]
        raise MethodNotAllowed(Method=request.method, ResourceType=resource, headers={"Allow": ", ".join(allowed)})  # B008
    raise S3NotImplemented()


def _subresources(request: S3Request) -> list[str]:
    """Return the query's names that choose an operation.

    A name nobody knows might be a subresource of tomorrow: it is refused, but where a read carries it with a value, which AWS
    ignores (people add such to get past caches).
    """
    reading = request.method in ("GET", "HEAD")
    names = []
    for name, value in request.query.items():
        if name in SUBRESOURCES:
            if not (name == "partNumber" and reading):
                names.append(name)
        elif name not in PARAMETERS and not name.startswith(("X-Amz-", "x-amz-")) and not (reading and value):
            raise S3NotImplemented(Parameter=name)
    return names
