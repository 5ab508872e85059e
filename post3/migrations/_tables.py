"""The tables of migration `0001_squashed_0014_autovacuum_of_objects`.

They never change, unlike the models in `post3/models`. The order of columns is that of a store which was upgraded step
by step.
"""

from typing import Any

from django.conf import settings
from django.db import migrations, models

import post3.models.accounts
import post3.models.buckets
import post3.models.fields
from post3.models.deleting import protect

#: The headers that a client sends with an object and gets back.
_HEADERS = ("content_type", "content_encoding", "content_disposition", "content_language", "cache_control", "expires")


def _row_id() -> "models.BigAutoField[Any, Any]":
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def _headers() -> "list[tuple[str, models.TextField[Any, Any]]]":
    return [(name, models.TextField(blank=True)) for name in _HEADERS]


def _metadata() -> models.JSONField:
    """Return the column of a client's metadata, which was a table once. A read needs only the row itself."""
    return models.JSONField(blank=True, db_default={}, default=dict)


def _user(related_name: str, on_delete: Any = protect, db_index: bool = True) -> "models.ForeignKey[Any, Any]":
    """Return a reference to a user. `protect` reads one row of the user's, where Django's PROTECT would read all."""
    return models.ForeignKey(db_index=db_index, on_delete=on_delete, related_name=related_name, to=settings.AUTH_USER_MODEL)


def _part_of(model: str, related_name: str | None = None) -> "models.ForeignKey[Any, Any]":
    """Return a reference to the row that a row belongs to. Each table has an index that begins with it."""
    return models.ForeignKey(db_index=False, on_delete=models.CASCADE, related_name=related_name, to=f"post3.{model}")


def _blob(related_name: str) -> "models.ForeignKey[Any, Any]":
    """Return a reference to bytes, which prevents their deletion. Empty bodies have no blob."""
    return models.ForeignKey(null=True, on_delete=models.PROTECT, related_name=related_name, to="post3.blob")


_USERS = [
    migrations.CreateModel(
        name="ApiKey",
        fields=[
            ("id", _row_id()),
            ("access_key", models.CharField(max_length=128, unique=True)),
            ("secret_encrypted", models.BinaryField()),
            ("name", models.CharField(blank=True, max_length=200)),
            ("created_at", models.DateTimeField(auto_now_add=True)),
            ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ("user", _user("post3_api_keys", on_delete=models.CASCADE)),
        ],
        options={"verbose_name": "API key", "ordering": ["-created_at"]},
    ),
    migrations.CreateModel(
        name="Account",
        fields=[
            ("id", _row_id()),
            ("account_id", models.CharField(default=post3.models.accounts.new_account_id, max_length=12, unique=True)),
            ("created_at", models.DateTimeField(auto_now_add=True)),
        ],
    ),
    # Limits failed logins.
    migrations.CreateModel(
        name="LoginAllowance",
        fields=[
            ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
            ("until", models.DateTimeField(db_index=True)),
        ],
    ),
]

_BUCKETS = [
    migrations.CreateModel(
        name="Bucket",
        fields=[
            ("id", _row_id()),
            ("name", post3.models.fields.ByteOrderedField(unique=True)),
            ("region", models.CharField(max_length=64)),
            ("created_at", models.DateTimeField(auto_now_add=True)),
            ("owner", _user("post3_buckets")),
            # Every process caches the settings of buckets. A statement that depends on them contains their version, and
            # does nothing if the row has another version. A trigger increases it with every change of the row.
            (
                "config_version",
                models.BigIntegerField(db_default=1, default=post3.models.buckets.new_config_version, editable=False),
            ),
            (
                "versioning",
                models.CharField(
                    blank=True,
                    choices=[("", "never enabled"), ("Enabled", "enabled"), ("Suspended", "suspended")],
                    db_default="",
                    default="",
                    max_length=9,
                ),
            ),
        ],
        options={"ordering": ["name"]},
    ),
]

_BYTES = [
    migrations.CreateModel(
        name="Blob",
        fields=[
            ("id", _row_id()),
            ("storage_class", models.CharField(max_length=32)),
            ("name", models.TextField(blank=True)),
            ("size", models.BigIntegerField()),
            ("md5", models.CharField(blank=True, max_length=32)),
            ("block_size", models.IntegerField(default=0)),
            (
                "state",
                models.SmallIntegerField(choices=[(0, "pending"), (1, "stored"), (2, "deleting"), (3, "damaged")]),
            ),
            ("created_at", models.DateTimeField()),
            ("released_at", models.DateTimeField(blank=True, null=True)),
            ("crc64nvme", models.CharField(blank=True, max_length=12, null=True)),
        ],
        options={
            # Each contains the few blobs among millions that the worker or the console looks for.
            "indexes": [
                models.Index(condition=models.Q(released_at__isnull=False), fields=["released_at"], name="post3_blob_released"),
                models.Index(condition=models.Q(state=0), fields=["created_at"], name="post3_blob_pending"),
                models.Index(condition=models.Q(state=3), fields=["id"], name="post3_blob_damaged"),
            ],
            "constraints": [models.CheckConstraint(condition=models.Q(size__gte=0), name="post3_blob_size")],
        },
    ),
    migrations.CreateModel(
        name="Block",
        fields=[
            (
                "pk",
                models.CompositePrimaryKey("blob_id", "index", blank=True, editable=False, primary_key=True, serialize=False),
            ),
            ("index", models.IntegerField()),
            ("data", models.BinaryField()),
            ("blob", _part_of("blob")),
        ],
    ),
]

_OBJECTS = [
    migrations.CreateModel(
        name="Object",
        fields=[
            ("id", _row_id()),
            *_headers(),
            ("key", post3.models.fields.ByteOrderedField()),
            ("version_id", models.CharField(default="null", max_length=32)),
            ("sequence", models.BigIntegerField(default=1)),
            ("is_latest", models.BooleanField(default=True)),
            ("is_delete_marker", models.BooleanField(default=False)),
            ("size", models.BigIntegerField(default=0)),
            ("etag", models.CharField(blank=True, max_length=40)),
            ("storage_class", models.CharField(max_length=32)),
            ("last_modified", models.DateTimeField()),
            ("checksum_algorithm", models.CharField(blank=True, max_length=16)),
            ("checksum_type", models.CharField(blank=True, max_length=16)),
            ("checksum", models.CharField(blank=True, max_length=80)),
            ("parts_count", models.IntegerField(default=0)),
            ("upload_id", models.CharField(blank=True, max_length=64)),
            ("sidecar", models.TextField(blank=True)),
            ("blob", _blob("object_versions")),
            ("bucket", _part_of("bucket")),
            ("owner", _user("+", db_index=False)),
            ("metadata", _metadata()),
            # Shows that an object was written. `sequence` only orders versions, so an overwrite changes no indexed
            # column.
            ("revision", models.BigIntegerField(db_default=1, default=1)),
            # A small body, which otherwise takes a row of a blob and a row of a block besides this one.
            ("data", models.BinaryField(null=True)),
            ("crc64nvme", models.CharField(blank=True, max_length=12, null=True)),
        ],
        options={
            "constraints": [
                models.UniqueConstraint(condition=models.Q(is_latest=True), fields=("bucket", "key"), name="post3_object_latest"),
                models.UniqueConstraint(fields=("bucket", "key", "sequence"), name="post3_object_sequence"),
                # Two for the id of a version. They contain no entry for a bucket without versions.
                models.UniqueConstraint(
                    condition=~models.Q(version_id="null"), fields=["version_id"], name="post3_object_version_id"
                ),
                models.UniqueConstraint(
                    condition=models.Q(version_id="null", is_latest=False),
                    fields=["bucket", "key"],
                    name="post3_object_earlier_null",
                ),
                models.CheckConstraint(condition=models.Q(size__gte=0), name="post3_object_size"),
            ]
        },
    ),
    # For searches. Triggers keep it equal to the objects' own column.
    migrations.CreateModel(
        name="ObjectMetadata",
        fields=[
            ("id", _row_id()),
            ("name", models.TextField()),
            ("value", models.TextField(blank=True)),
            ("object", _part_of("object", "metadata_rows")),
        ],
        options={
            "verbose_name_plural": "object metadata",
            "constraints": [models.UniqueConstraint(fields=("object", "name"), name="post3_objectmetadata_unique")],
        },
    ),
    migrations.CreateModel(
        name="ObjectTag",
        fields=[
            ("id", _row_id()),
            ("key", models.CharField(max_length=128)),
            ("value", models.CharField(blank=True, max_length=256)),
            ("object", _part_of("object", "tags")),
        ],
        options={"constraints": [models.UniqueConstraint(fields=("object", "key"), name="post3_objecttag_unique")]},
    ),
    migrations.CreateModel(
        name="ObjectPart",
        fields=[
            ("id", _row_id()),
            ("part_number", models.IntegerField()),
            ("offset", models.BigIntegerField()),
            ("size", models.BigIntegerField()),
            ("checksum", models.CharField(blank=True, max_length=64)),
            ("blob", _blob("object_parts")),
            ("object", _part_of("object", "parts")),
        ],
        options={
            "ordering": ["part_number"],
            "constraints": [
                models.UniqueConstraint(fields=("object", "part_number"), name="post3_objectpart_number"),
                models.UniqueConstraint(fields=("object", "offset", "part_number"), name="post3_objectpart_offset"),
            ],
        },
    ),
]

_UPLOADS = [
    migrations.CreateModel(
        name="MultipartUpload",
        fields=[
            ("id", _row_id()),
            *_headers(),
            ("upload_id", models.CharField(max_length=64, unique=True)),
            ("key", post3.models.fields.ByteOrderedField()),
            ("storage_class", models.CharField(max_length=32)),
            ("checksum_algorithm", models.CharField(blank=True, max_length=16)),
            ("checksum_type", models.CharField(blank=True, max_length=16)),
            ("initiated_at", models.DateTimeField()),
            ("bucket", _part_of("bucket")),
            ("owner", _user("+")),
            # The key's revision when the upload was created. It lets a condition on the completion detect later writes.
            ("key_revision", models.BigIntegerField(null=True)),
            ("metadata", _metadata()),
        ],
        options={
            "indexes": [
                models.Index(fields=["bucket", "key", "upload_id"], name="post3_upload_key"),
                models.Index(fields=["initiated_at"], name="post3_upload_initiated"),
            ]
        },
    ),
    migrations.CreateModel(
        name="UploadPart",
        fields=[
            ("id", _row_id()),
            ("part_number", models.IntegerField()),
            ("etag", models.CharField(max_length=32)),
            ("size", models.BigIntegerField()),
            ("checksum", models.CharField(blank=True, max_length=64)),
            ("checksum_algorithm", models.CharField(blank=True, max_length=16)),
            ("last_modified", models.DateTimeField()),
            ("blob", _blob("upload_parts")),
            ("upload", _part_of("multipartupload", "parts")),
        ],
        options={
            "ordering": ["part_number"],
            "constraints": [
                models.UniqueConstraint(fields=("upload", "part_number"), name="post3_uploadpart_number"),
                models.CheckConstraint(
                    condition=models.Q(part_number__gte=1, part_number__lte=10000), name="post3_uploadpart_range"
                ),
            ],
        },
    ),
]

#: The position of background work, and its totals.
_WORKER = [
    migrations.CreateModel(
        name="WorkerState",
        fields=[
            ("id", _row_id()),
            ("name", models.CharField(max_length=64, unique=True)),
            ("position", models.BigIntegerField(default=0)),
            ("count", models.BigIntegerField(default=0)),
            ("size", models.BigIntegerField(default=0)),
            ("updated_at", models.DateTimeField(auto_now=True)),
        ],
        options={"ordering": ["name"]},
    ),
]

TABLES = [*_USERS, *_BUCKETS, *_BYTES, *_OBJECTS, *_UPLOADS, *_WORKER]
