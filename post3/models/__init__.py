"""The models of the catalogue: tables and constraints."""

from .access import ApiKey, LoginAllowance
from .accounts import Account
from .blobs import Blob, Block
from .buckets import Bucket
from .multipart import MultipartUpload, UploadPart
from .objects import Object, ObjectMetadata, ObjectPart, ObjectTag
from .worker import WorkerState

__all__ = [
    "Account",
    "ApiKey",
    "Blob",
    "Block",
    "Bucket",
    "LoginAllowance",
    "MultipartUpload",
    "Object",
    "ObjectMetadata",
    "ObjectPart",
    "ObjectTag",
    "UploadPart",
    "WorkerState",
]
