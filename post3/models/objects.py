"""Objects. Each row is one version of a key."""

from django.conf import settings
from django.db import models

from ..visible import visible
from .blobs import Blob
from .buckets import Bucket
from .deleting import protect
from .fields import ByteOrderedField


class ObjectHeaders(models.Model):
    """The headers that a client sends with an object and gets back: system headers, empty if not sent, and metadata."""

    content_type = models.TextField(blank=True)
    content_encoding = models.TextField(blank=True)
    content_disposition = models.TextField(blank=True)
    content_language = models.TextField(blank=True)
    cache_control = models.TextField(blank=True)
    expires = models.TextField(blank=True)
    #: By name, without `x-amz-meta-`, in lower case.
    metadata = models.JSONField(default=dict, db_default={}, blank=True)

    class Meta:
        abstract = True


class Object(ObjectHeaders):
    """One version of a key.

    Its bytes are one blob or, after a multipart upload, the ordered blobs of its parts (`ObjectPart`). An empty object
    and a delete marker have no blob.
    """

    bucket = models.ForeignKey(Bucket, on_delete=models.CASCADE, db_index=False)
    key = ByteOrderedField()
    #: "null" for a version written while versioning was not enabled.
    version_id = models.CharField(max_length=32, default="null")
    #: The order in which versions of this key were committed; the latest version has the highest.
    sequence = models.BigIntegerField(default=1)
    #: Grows with every write of this key, also of the same version. No index contains it: PostgreSQL can then overwrite
    #: an object without writing to any index, if its page has space.
    revision = models.BigIntegerField(default=1, db_default=1)
    is_latest = models.BooleanField(default=True)
    is_delete_marker = models.BooleanField(default=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=protect, related_name="+", db_index=False)
    size = models.BigIntegerField(default=0)
    #: Without quotes.
    etag = models.CharField(max_length=40, blank=True)
    storage_class = models.CharField(max_length=32)
    last_modified = models.DateTimeField()
    #: CRC32, CRC32C, SHA1, SHA256 or CRC64NVME.
    checksum_algorithm = models.CharField(max_length=16, blank=True)
    #: FULL_OBJECT, or COMPOSITE for a checksum of the parts' checksums.
    checksum_type = models.CharField(max_length=16, blank=True)
    #: Base64; a COMPOSITE checksum ends in "-<number of parts>".
    checksum = models.CharField(max_length=80, blank=True)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="object_versions")
    #: The bytes themselves, if the storage keeps small bodies in this row, and their CRC-64/NVME, base64.
    data = models.BinaryField(null=True)
    crc64nvme = models.CharField(max_length=12, null=True, blank=True)
    #: Number of parts of the multipart upload; 0 for an object uploaded by a single PUT.
    parts_count = models.IntegerField(default=0)
    #: Of the multipart upload, so that a repeated CompleteMultipartUpload gets the same response.
    upload_id = models.CharField(max_length=64, blank=True)
    #: The name of the description that the storage keeps beside the bytes; empty if it keeps none.
    sidecar = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bucket", "key"], condition=models.Q(is_latest=True), name="post3_object_latest"),
            models.UniqueConstraint(fields=["bucket", "key", "sequence"], name="post3_object_sequence"),
            # Two for the id of a version, so that the objects of a bucket without versions are in neither.
            models.UniqueConstraint(
                fields=["version_id"], condition=~models.Q(version_id="null"), name="post3_object_version_id"
            ),
            models.UniqueConstraint(
                fields=["bucket", "key"],
                condition=models.Q(version_id="null", is_latest=False),
                name="post3_object_earlier_null",
            ),
            models.CheckConstraint(condition=models.Q(size__gte=0), name="post3_object_size"),
        ]

    def __str__(self) -> str:
        return visible(self.key)


class ObjectMetadata(models.Model):
    """One entry of an object's metadata as a searchable row. Triggers keep these rows equal to `Object.metadata`."""

    object = models.ForeignKey(Object, on_delete=models.CASCADE, related_name="metadata_rows", db_index=False)
    name = models.TextField()
    value = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["object", "name"], name="post3_objectmetadata_unique")]
        verbose_name_plural = "object metadata"

    def __str__(self) -> str:
        return visible(f"{self.name}: {self.value}")


class ObjectTag(models.Model):
    """One tag of an object."""

    object = models.ForeignKey(Object, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=128)
    value = models.CharField(max_length=256, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["object", "key"], name="post3_objecttag_unique")]

    def __str__(self) -> str:
        return visible(f"{self.key}={self.value}")


class ObjectPart(models.Model):
    """One part of an object from a multipart upload: its position in the object, and its bytes."""

    object = models.ForeignKey(Object, on_delete=models.CASCADE, related_name="parts", db_index=False)
    part_number = models.IntegerField()
    #: Bytes of the object before this part.
    offset = models.BigIntegerField()
    size = models.BigIntegerField()
    #: Base64, by the object's checksum algorithm.
    checksum = models.CharField(max_length=64, blank=True)
    #: Null for an empty part.
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="object_parts")

    class Meta:
        ordering = ["part_number"]
        constraints = [
            models.UniqueConstraint(fields=["object", "part_number"], name="post3_objectpart_number"),
            models.UniqueConstraint(fields=["object", "offset", "part_number"], name="post3_objectpart_offset"),
        ]

    def __str__(self) -> str:
        return f"part {self.part_number}"
