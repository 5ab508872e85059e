"""Blobs: immutable byte strings in a storage, and the blocks of those kept in the database.

Objects, parts of objects and parts of uploads refer to blobs. When a reference is deleted, a trigger
(`migrations/_triggers.py`) sets `released_at`. The worker collects released blobs that nothing refers to any more.
"""

from django.db import models


class Blob(models.Model):
    """One immutable byte string. Its bytes are in the storage configured for `storage_class`, under `name`."""

    class State(models.IntegerChoices):
        PENDING = 0, "pending"  # being written: no reference may exist
        STORED = 1, "stored"  # whole and durable
        DELETING = 2, "deleting"  # being collected: no reference may be added
        DAMAGED = 3, "damaged"  # its bytes are missing or wrong: still referred to, but not read

    storage_class = models.CharField(max_length=32)
    #: The storage's own name of the bytes; empty if the blob's id identifies them.
    name = models.TextField(blank=True)
    size = models.BigIntegerField()
    #: MD5 of the bytes, hex.
    md5 = models.CharField(max_length=32, blank=True)
    #: CRC-64/NVME of the bytes, base64, independent of the checksums that clients choose, because verifying it costs
    #: almost nothing (D31). Null if unknown, in rows older than the column. SQLite also adds a nullable column without
    #: copying the table.
    crc64nvme = models.CharField(max_length=12, blank=True, null=True)
    #: Bytes per block of this blob (the last block may have fewer); 0 if the storage has no blocks.
    block_size = models.IntegerField(default=0)
    state = models.SmallIntegerField(choices=State)
    created_at = models.DateTimeField()
    #: When a reference was last deleted; null if none was.
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["released_at"], name="post3_blob_released", condition=models.Q(released_at__isnull=False)),
            models.Index(fields=["created_at"], name="post3_blob_pending", condition=models.Q(state=0)),
            models.Index(fields=["id"], name="post3_blob_damaged", condition=models.Q(state=3)),
        ]
        constraints = [models.CheckConstraint(condition=models.Q(size__gte=0), name="post3_blob_size")]

    def __str__(self) -> str:
        return f"blob {self.pk}"


class Block(models.Model):
    """A piece of a blob that is stored in the database. Only `storage/database/blocks.py` reads and writes it."""

    pk = models.CompositePrimaryKey("blob_id", "index")
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, db_index=False)
    index = models.IntegerField()
    data = models.BinaryField()
