"""Insert the rows of objects and blobs into a rebuilt catalogue, many at a time."""

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import md5
from operator import attrgetter
from typing import Any

from ... import checksums
from ...catalogue.attributes import COLUMNS
from ...catalogue.removing import remove_object
from ...db.bulk_insert import as_parameter, insert_rows, take_ids, temporary_index
from ...descriptions.described import DescribedBlob, DescribedObject
from ...models import Blob, Object, ObjectPart
from ...storage.base import BlobRef, Storage, StorageError

#: Names per statement.
CHUNK = 1000
BLOB_COLUMNS = ("id", "storage_class", "name", "size", "md5", "crc64nvme", "block_size", "state", "created_at")
OBJECT_COLUMNS = (
    "id",
    "bucket_id",
    "key",
    "version_id",
    "sequence",
    "revision",
    "is_latest",
    "is_delete_marker",
    "blob_id",
    *COLUMNS,
)
INDEX = "post3_blob_name_rebuilding"


class Put(enum.Enum):
    """The result of processing a description."""

    MADE = enum.auto()
    #: The catalogue already has the described object.
    KNOWN = enum.auto()
    #: There is a newer object with the same key.
    SUPERSEDED = enum.auto()
    #: It replaced an older object with the same key.
    REPLACED = enum.auto()
    LEFT_OUT = enum.auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    described: DescribedObject
    outcome: Put
    fault: str = ""


@dataclass(slots=True)
class RebuildCounts:
    buckets: int = 0
    objects: int = 0
    blobs: int = 0
    #: Bytes verified.
    verified: int = 0
    #: Descriptions of keys that have a newer one, and of objects that the catalogue already has.
    superseded: int = 0
    known: int = 0
    #: Files that post3 did not create.
    foreign: int = 0
    #: Reported faults that are losses.
    lost: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class BlobRows:
    """The rows of blobs by name in a storage. Each blob has one row, however many objects share it."""

    def __init__(self, verify: bool, counts: RebuildCounts, progress: Callable[[], None]) -> None:
        self._verify, self._counts, self._progress = verify, counts, progress

    def found_by_name(self) -> AbstractContextManager[None]:
        """Return a context in which names are indexed."""
        return temporary_index(INDEX, "post3_blob", "name")

    def need(self, storage: Storage, described: Iterable[DescribedBlob]) -> dict[str, Blob]:
        """Return the blobs with these names. Missing rows are created."""
        wanted = {blob.name: blob for blob in described}
        found: dict[str, Blob] = {}
        names = list(wanted)
        for start in range(0, len(names), CHUNK):
            chunk = Blob.objects.filter(name__in=names[start : start + CHUNK], storage_class=storage.storage_class)
            found |= {blob.name: blob for blob in chunk}
        # In an old catalogue, they may be pending or marked for deletion. Now they exist and have a description.
        for name, old in found.items():
            if old.state in (Blob.State.PENDING, Blob.State.DELETING):
                found[name] = self._row(storage, wanted[name], old.created_at)
                found[name].pk = old.pk
                found[name].save(force_update=True)
        made = [self._row(storage, blob, datetime.now(UTC)) for name, blob in wanted.items() if name not in found]
        for blob, pk in zip(made, take_ids(Blob, len(made)), strict=True):
            blob.pk = pk
            found[blob.name] = blob
        insert_rows(Blob, BLOB_COLUMNS, (_blob_values(blob) for blob in made))
        self._counts.blobs += len(made)
        return found

    def _row(self, storage: Storage, blob: DescribedBlob, created_at: datetime) -> Blob:
        state, crc64nvme = self._verified(storage, blob) if self._verify else (Blob.State.STORED, blob.crc64nvme)
        return Blob(
            storage_class=storage.storage_class,
            name=blob.name,
            size=blob.size,
            md5=blob.md5,
            crc64nvme=crc64nvme or None,
            state=state,
            created_at=created_at,
        )

    def _verified(self, storage: Storage, blob: DescribedBlob) -> tuple[Blob.State, str]:
        """Read all bytes and compare their CRC or, if it is unknown, their MD5. Return the blob's state and CRC."""
        summed = checksums.new_hasher("CRC64NVME")
        hashed = None if blob.crc64nvme or not blob.md5 else md5(usedforsecurity=False)
        try:
            for piece in storage.open(BlobRef(0, blob.name, blob.size, 0), 0, blob.size):
                summed.update(piece)
                if hashed:
                    hashed.update(piece)
                self._counts.verified += len(piece)
                self._progress()
        except StorageError:
            return Blob.State.DAMAGED, blob.crc64nvme
        crc64nvme = summed.base64()
        same = hashed.hexdigest() == blob.md5 if hashed else blob.crc64nvme in ("", crc64nvme)
        return (Blob.State.STORED, crc64nvme) if same else (Blob.State.DAMAGED, blob.crc64nvme)


def _blob_values(blob: Blob) -> tuple[Any, ...]:
    checksums_and_state = (blob.md5, blob.crc64nvme, blob.block_size, int(blob.state), as_parameter(blob.created_at))
    return blob.pk, blob.storage_class, blob.name, blob.size, *checksums_and_state


class ObjectRows:
    """The rows of objects by bucket and key. The newest description of a key wins."""

    def __init__(self, blobs: BlobRows) -> None:
        self._blobs = blobs

    def put(self, storage: Storage, buckets: dict[str, int], batch: Iterable[DescribedObject]) -> list[Outcome]:
        """Insert the described objects in the caller's transaction. Return the outcome of each description."""
        outcomes: list[Outcome] = []
        newest: dict[tuple[str, str], DescribedObject] = {}
        for described in batch:
            if fault := _missing(storage, described):
                outcomes.append(Outcome(described, Put.LEFT_OUT, fault))
                continue
            other = newest.setdefault((described.bucket, described.new.key), described)
            if other is not described:
                older, newer = sorted((other, described), key=_age)
                newest[described.bucket, described.new.key] = newer
                outcomes.append(Outcome(older, Put.SUPERSEDED))
        revisions: dict[tuple[str, str], int] = {}
        replaced: list[int] = []
        for place, there in _there(buckets, newest).items():
            if there.sidecar == newest[place].new.sidecar:
                outcomes.append(Outcome(newest.pop(place), Put.KNOWN))
            elif (there.last_modified, there.sidecar) >= _age(newest[place]):
                outcomes.append(Outcome(newest.pop(place), Put.SUPERSEDED))
            else:
                replaced.append(there.pk)
                revisions[place] = there.revision
        for object_id in replaced:
            remove_object(object_id)
        blobs = self._blobs.need(storage, (blob for described in newest.values() for blob in described.blobs()))
        _insert(buckets, newest, blobs, revisions)
        for place, described in newest.items():
            outcome = Put.REPLACED if place in revisions else Put.MADE
            faults = (described.left_out, _damage(described, blobs))
            outcomes.append(Outcome(described, outcome, "; ".join(fault for fault in faults if fault)))
        return outcomes


def _missing(storage: Storage, described: DescribedObject) -> str:
    """Return a message about an object's missing bytes; empty if there are none."""
    blobs = described.blobs()
    try:
        sizes = storage.measure([BlobRef(0, blob.name, blob.size, 0) for blob in blobs])
    except StorageError as error:
        return str(error)
    for blob, size in zip(blobs, sizes, strict=True):
        if size is None:
            return f"all {blob.size} bytes are missing: {blob.name}"
        if size < blob.size:
            return f"only {size} of {blob.size} bytes exist: {blob.name}"
    return ""


def _age(described: DescribedObject) -> tuple[datetime, str]:
    return described.new.last_modified, described.new.sidecar


def _there(buckets: dict[str, int], places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Object]:
    """Return the objects that the catalogue already has for these buckets and keys."""
    keys = defaultdict(list)
    for bucket, key in places:
        keys[bucket].append(key)
    found: dict[tuple[str, str], Object] = {}
    for bucket, wanted in keys.items():
        rows = Object.objects.filter(bucket_id=buckets[bucket], key__in=wanted, is_latest=True)
        rows = rows.only("pk", "key", "revision", "last_modified", "sidecar")
        found |= {(bucket, row.key): row for row in rows}
    return found


def _insert(
    buckets: dict[str, int],
    chosen: dict[tuple[str, str], DescribedObject],
    blobs: dict[str, Blob],
    revisions: dict[tuple[str, str], int],
) -> None:
    """Insert objects with their parts. `revisions`: of the replaced rows, by bucket and key."""
    objects, parts = [], []
    for object_id, (place, described) in zip(take_ids(Object, len(chosen)), chosen.items(), strict=True):
        new, bucket_id = described.new, buckets[described.bucket]
        blob_id = blobs[described.blob.name].pk if described.blob else None
        fixed = ("null", 1, revisions.get(place, 0) + 1, True, False)
        attributes = [as_parameter(value) for value in attrgetter(*COLUMNS)(new)]
        objects.append((object_id, bucket_id, new.key, *fixed, blob_id, *attributes))
        for part in described.parts:
            part_blob = blobs[part.blob.name].pk if part.blob else None
            parts.append((object_id, part.part_number, part.offset, part.size, part.checksum, part_blob))
    insert_rows(Object, OBJECT_COLUMNS, objects)
    insert_rows(ObjectPart, ("object_id", "part_number", "offset", "size", "checksum", "blob_id"), parts)


def _damage(described: DescribedObject, blobs: dict[str, Blob]) -> str:
    damaged = [blob.name for blob in described.blobs() if blobs[blob.name].state == Blob.State.DAMAGED]
    return f"its bytes are damaged, and were marked as damaged: {', '.join(damaged)}" if damaged else ""
