"""A lost catalogue made again from the descriptions that storages keep beside the bytes (`sidecars.py`).

All in one transaction: it is whole or not there, and a rebuild that broke off is started over. The newest description of a
key wins. What is torn, foreign or without its bytes is reported and left out; nothing in a storage is changed or removed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.core.management.color import no_style
from django.db import connection, transaction

from ..conf import conf
from ..models import Blob, Bucket, Object, ObjectMetadata, ObjectPart
from ..models.rows import HEADER_COLUMNS
from ..models.sql import execute
from ..s3 import checksums
from ..storage.base import BlobRef, Storage, StorageError
from .sidecars import FORMAT, describing

#: Descriptions whose rows are written together.
BATCH = 500
T = TypeVar("T")


class CatalogueNotEmpty(Exception):
    """There are buckets or objects in the catalogue already."""


class NothingDescribes(Exception):
    """No configured storage keeps descriptions."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild made, and what it left out."""

    buckets: int = 0
    objects: int = 0
    blobs: int = 0
    bytes: int = 0
    #: Names of the users made again, who have no password and no API key.
    users: list[str] = field(default_factory=list)
    #: Buckets without a description, made from what is in them.
    guessed_buckets: list[str] = field(default_factory=list)
    #: Descriptions left out because a newer one of the same key is there.
    older: int = 0
    #: How many descriptions were left out because they, or their bytes, are not whole.
    damaged: int = 0


class Unusable(Exception):
    """A description that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class _Part:
    part_number: int
    offset: int
    size: int
    checksum: str
    blob: str


@dataclass(frozen=True, slots=True)
class _Described:
    """An object as its description has it."""

    storage: Storage
    row: Object
    bucket: str
    metadata: dict[str, str]
    #: Of a multipart object.
    parts: list[_Part]
    #: Name, size, MD5 and CRC-64/NVME of its blobs, as far as they are known.
    blobs: dict[str, Blob]
    #: The blob of an object in one piece; empty where it has none.
    blob: str


def rebuild(verify: bool, report: Callable[[str], None], progress: Callable[[Rebuilt], None]) -> Rebuilt:
    """Fill an empty catalogue from all storages that describe. `verify`: read every byte.

    `report` is told of each description left out, `progress` after each batch.
    Raises CatalogueNotEmpty, NothingDescribes, StorageError.
    """
    stores = describing()
    if not stores:
        raise NothingDescribes
    return _Rebuilding(verify, report, progress).run(stores)


class _Rebuilding:
    def __init__(self, verify: bool, report: Callable[[str], None], progress: Callable[[Rebuilt], None]) -> None:
        self._verify, self._report, self._progress = verify, report, progress
        self._done = Rebuilt()
        self._users: set[int] = set()
        self._buckets: dict[str, Bucket] = {}

    def run(self, stores: list[Storage]) -> Rebuilt:
        with transaction.atomic():
            if Bucket.objects.exists() or Object.objects.exists() or Blob.objects.exists():
                raise CatalogueNotEmpty
            self._users = set(get_user_model().objects.values_list("pk", flat=True))
            # Copies name blobs of others; without it each batch would read the whole table. It goes at the end.
            execute("CREATE INDEX post3_rebuilding ON post3_blob (name)")
            # Buckets first: they know the names of users.
            for storage in stores:
                for name, document in self._documents(storage, buckets=True):
                    self._add_bucket(name, document)
            for storage in stores:
                for some in _batched(self._objects(storage)):
                    self._add_objects(some)
                    self._progress(self._done)
            # PostgreSQL drops no index while checks of foreign keys are still to come.
            connection.check_constraints()
            execute("DROP INDEX post3_rebuilding")
            for statement in connection.ops.sequence_reset_sql(no_style(), [get_user_model()]):
                execute(statement)
        return self._done

    def _documents(self, storage: Storage, buckets: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, data in storage.descriptions():
            bucket = name.split("/", 1)[0]
            is_bucket = name == storage.bucket_name(bucket)
            if is_bucket != buckets:
                continue
            try:
                document = json.loads(data)
                if not isinstance(document, dict) or document.get("bucket") != bucket:
                    raise ValueError("no description of post3")
                if document.get("format") != FORMAT:
                    raise ValueError(f"format {document.get('format')!r} is not known")
            except ValueError as error:
                self._leave_out(name, str(error))
                continue
            yield name, document

    def _leave_out(self, name: str, why: str) -> None:
        self._done.damaged += 1
        self._report(f"{name}.json: {why}")

    def _add_bucket(self, name: str, document: dict[str, Any]) -> None:
        try:
            owner_id, owner = int(document["owner_id"]), str(document["owner"])
            region, created_at = str(document["region"]), _moment(document["created_at"])
        except (KeyError, TypeError, ValueError) as error:
            self._leave_out(name, f"not usable: {error!r}")
            return
        if document["bucket"] not in self._buckets:
            self._make_bucket(document["bucket"], owner_id, owner, region, created_at)

    def _make_bucket(self, name: str, owner_id: int, owner: str, region: str, created_at: datetime) -> None:
        self._need_user(owner_id, owner)
        bucket = Bucket.objects.create(name=name, owner_id=owner_id, region=region)
        Bucket.objects.filter(pk=bucket.pk).update(created_at=created_at)  # creating sets it to now
        self._buckets[name] = bucket
        self._done.buckets += 1

    def _need_user(self, user_id: int, name: str) -> None:
        """Make a user of that primary key, on which the canonical id rests, where there is none."""
        if user_id in self._users:
            return
        model = get_user_model()
        if model.objects.filter(**{model.USERNAME_FIELD: name}).exists():
            name = f"{name}-{user_id}"
        user = model(pk=user_id, **{model.USERNAME_FIELD: name})
        user.set_unusable_password()
        user.save(force_insert=True)
        self._users.add(user_id)
        self._done.users.append(name)

    def _objects(self, storage: Storage) -> Iterator[_Described]:
        for name, document in self._documents(storage, buckets=False):
            try:
                described = _read_object(storage, name, document)
                self._check(described)
            except (Unusable, StorageError) as error:
                self._leave_out(name, str(error))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._leave_out(name, f"not usable: {error!r}")
            else:
                yield described

    def _check(self, described: _Described) -> None:
        """Look whether the bytes are there, or with `verify` whether they are those. Raises Unusable, StorageError."""
        for blob in described.blobs.values():
            pieces = described.storage.open(BlobRef(0, blob.name, blob.size, 0), 0, blob.size)
            try:
                if self._verify:
                    md5, crc = hashlib.md5(usedforsecurity=False), checksums.new_hasher("CRC64NVME")
                    for piece in pieces:
                        md5.update(piece)
                        crc.update(piece)
                    if blob.md5 not in ("", md5.hexdigest()) or blob.crc64nvme not in (None, crc.base64()):
                        raise Unusable(f"the bytes of {blob.name} are not those that were stored")
                    blob.md5, blob.crc64nvme = md5.hexdigest(), crc.base64()
            finally:
                pieces.close()
        if self._verify and described.parts and described.row.parts_count:
            digests = b"".join(
                bytes.fromhex(described.blobs[part.blob].md5) if part.blob else hashlib.md5(usedforsecurity=False).digest()
                for part in described.parts
            )
            etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(described.parts)}"
            if described.row.etag != etag:
                raise Unusable("the bytes of its parts are not those of its ETag")

    def _add_objects(self, some: tuple[_Described, ...]) -> None:
        """Write the rows of some objects, less those of which there is a newer description."""
        newest: dict[tuple[str, str], _Described] = {}
        for one in some:
            place = one.bucket, one.row.key
            if place in newest:
                self._done.older += 1
            if place not in newest or newest[place].row.last_modified < one.row.last_modified:
                newest[place] = one
        for one in newest.values():
            if one.bucket not in self._buckets:
                self._done.guessed_buckets.append(one.bucket)
                owner = one.row.owner_id
                self._make_bucket(one.bucket, owner, f"recovered-{owner}", conf.REGION, one.row.last_modified)
            self._need_user(one.row.owner_id, f"recovered-{one.row.owner_id}")
            one.row.bucket = self._buckets[one.bucket]
        chosen = self._without_older(newest)
        blobs = self._add_blobs(chosen)
        for one in chosen:
            one.row.blob = blobs[one.blob] if one.blob else None
        Object.objects.bulk_create([one.row for one in chosen])
        ObjectMetadata.objects.bulk_create(
            ObjectMetadata(object=one.row, name=name, value=value) for one in chosen for name, value in one.metadata.items()
        )
        ObjectPart.objects.bulk_create(
            ObjectPart(
                object=one.row,
                part_number=part.part_number,
                offset=part.offset,
                size=part.size,
                checksum=part.checksum,
                blob=blobs[part.blob] if part.blob else None,
            )
            for one in chosen
            for part in one.parts
        )
        self._done.objects += len(chosen)
        self._done.bytes += sum(one.row.size for one in chosen)

    def _without_older(self, newest: dict[tuple[str, str], _Described]) -> list[_Described]:
        there: list[Object] = []
        for name in {bucket for bucket, _ in newest}:
            # One bucket at a time: with several, SQLite reads all of them instead of seeking the keys.
            keys = [key for bucket, key in newest if bucket == name]
            there += Object.objects.filter(bucket=self._buckets[name], key__in=keys, is_latest=True)
        names = {bucket.pk: name for name, bucket in self._buckets.items()} if there else {}
        for row in there:
            place = names[row.bucket_id], row.key
            self._done.older += 1
            if newest[place].row.last_modified > row.last_modified:
                self._done.objects -= 1
                self._done.bytes -= row.size
                row.delete()
            else:
                del newest[place]
        return list(newest.values())

    def _add_blobs(self, chosen: list[_Described]) -> dict[str, Blob]:
        """Return the blobs of these objects by name: one row for each, however many share it."""
        wanted = {name: blob for one in chosen for name, blob in one.blobs.items()}
        found = {}
        for names in _batched(iter(wanted)):
            found |= {blob.name: blob for blob in Blob.objects.filter(name__in=names)}
        new = [blob for name, blob in wanted.items() if name not in found]
        Blob.objects.bulk_create(new)
        self._done.blobs += len(new)
        return found | {blob.name: blob for blob in new}


def _batched(items: Iterator[T]) -> Iterator[tuple[T, ...]]:
    while batch := tuple(islice(items, BATCH)):
        yield batch


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _read_object(storage: Storage, name: str, document: dict[str, Any]) -> _Described:
    """Read an object's description. Raises Unusable, and KeyError, TypeError or ValueError where it is none."""
    if document["version_id"] != "null":
        raise Unusable("a version other than null: this post3 keeps none")
    row = Object(
        key=document["key"],
        owner_id=int(document["owner_id"]),
        size=int(document["size"]),
        etag=document["etag"],
        storage_class=storage.storage_class,
        last_modified=_moment(document["last_modified"]),
        checksum_algorithm=document["checksum_algorithm"],
        checksum_type=document["checksum_type"],
        checksum=document["checksum"],
        upload_id=document.get("upload_id", ""),
        parts_count=len(document["parts"]),
        sidecar=name,
        **{column: document["headers"].get(column, "") for column in HEADER_COLUMNS},
    )
    is_crc = row.checksum_algorithm == "CRC64NVME"
    made = {"storage_class": storage.storage_class, "state": Blob.State.STORED, "created_at": row.last_modified}
    parts, blobs, offset = [], {}, 0
    for part in document["parts"]:
        parts.append(_Part(part["part_number"], offset, part["size"], part["checksum"], part["blob"]))
        offset += part["size"]
        if part["blob"]:
            crc = part["checksum"] if is_crc and part["checksum"] else None
            blobs[part["blob"]] = Blob(name=part["blob"], size=part["size"], crc64nvme=crc, **made)
    if document["blob"]:
        offset = row.size
        crc = row.checksum if is_crc and row.checksum else None
        md5 = row.etag if "-" not in row.etag else ""
        blobs[document["blob"]] = Blob(name=document["blob"], size=row.size, md5=md5, crc64nvme=crc, **made)
    if offset != row.size:
        raise Unusable(f"its parts have {offset} of {row.size} bytes")
    return _Described(storage, row, document["bucket"], document["metadata"], parts, blobs, document["blob"])
