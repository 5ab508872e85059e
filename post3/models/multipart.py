"""Unfinished multipart uploads."""

from django.conf import settings
from django.db import models

from ..visible import visible
from .blobs import Blob
from .buckets import Bucket
from .deleting import protect
from .fields import ByteOrderedField
from .objects import ObjectHeaders


class MultipartUpload(ObjectHeaders):
    """An upload that is neither completed nor aborted, with the attributes of the future object."""

    upload_id = models.CharField(max_length=64, unique=True)
    bucket = models.ForeignKey(Bucket, on_delete=models.CASCADE, db_index=False)
    key = ByteOrderedField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=protect, related_name="+")
    storage_class = models.CharField(max_length=32)
    #: CRC32, CRC32C, SHA1, SHA256 or CRC64NVME; empty if the client gave none.
    checksum_algorithm = models.CharField(max_length=16, blank=True)
    #: COMPOSITE or FULL_OBJECT; empty if the client gave no algorithm.
    checksum_type = models.CharField(max_length=16, blank=True)
    initiated_at = models.DateTimeField()
    #: The revision of the key's latest version when the upload was created, or 0 if there was none; -1 after that
    #: version, or a later one, was deleted. Null, meaning unknown, in uploads created by an older release.
    key_revision = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["bucket", "key", "upload_id"], name="post3_upload_key"),
            models.Index(fields=["initiated_at"], name="post3_upload_initiated"),
        ]

    def __str__(self) -> str:
        return visible(f"{self.key} ({self.upload_id})")


class UploadPart(models.Model):
    """An uploaded part: its number, ETag and blob."""

    upload = models.ForeignKey(MultipartUpload, on_delete=models.CASCADE, related_name="parts", db_index=False)
    part_number = models.IntegerField()
    etag = models.CharField(max_length=32)
    size = models.BigIntegerField()
    #: Base64, by the upload's checksum algorithm or, if it has none, CRC64NVME.
    checksum = models.CharField(max_length=64, blank=True)
    checksum_algorithm = models.CharField(max_length=16, blank=True)
    #: Null for an empty part.
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="upload_parts")
    last_modified = models.DateTimeField()

    class Meta:
        ordering = ["part_number"]
        constraints = [
            models.UniqueConstraint(fields=["upload", "part_number"], name="post3_uploadpart_number"),
            models.CheckConstraint(condition=models.Q(part_number__gte=1, part_number__lte=10000), name="post3_uploadpart_range"),
        ]

    def __str__(self) -> str:
        return f"part {self.part_number}"
