"""The catalogue: tables, constraints, querysets."""

from .access import ApiKey, LoginAllowance
from .blobs import Blob, Block
from .buckets import Bucket
from .multipart import MultipartUpload, MultipartUploadMetadata, UploadPart
from .objects import Object, ObjectMetadata, ObjectPart, ObjectTag
from .worker import WorkerState

__all__ = [
    "ApiKey",
    "Blob",
    "Block",
    "Bucket",
    "LoginAllowance",
    "MultipartUpload",
    "MultipartUploadMetadata",
    "Object",
    "ObjectMetadata",
    "ObjectPart",
    "ObjectTag",
    "UploadPart",
    "WorkerState",
]
