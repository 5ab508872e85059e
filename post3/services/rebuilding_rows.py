"""The rows of objects and blobs of a catalogue that is rebuilt, many at once."""

import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5

from django.db import connection

from ..models import Blob, Object, ObjectMetadata, ObjectPart
from ..models.rows import HEADER_COLUMNS
from ..models.sql import execute
from ..s3 import checksums
from ..storage.base import BlobRef, Storage, StorageError
from .described import DescribedBlob, DescribedObject

#: Names asked for by one statement, and rows inserted by one.
CHUNK = 1000
INDEX = "post3_blob_name_rebuilding"


class Put(enum.Enum):
    """What became of a description."""

    MADE = enum.auto()
    #: The catalogue holds what it describes, or something newer.
    KNOWN = enum.auto()
    SUPERSEDED = enum.auto()
    #: In place of something older.
    REPLACED = enum.auto()
    LEFT_OUT = enum.auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    described: DescribedObject
    outcome: Put
    fault: str = ""


@dataclass(slots=True)
class Counts:
    buckets: int = 0
    objects: int = 0
    blobs: int = 0
    #: Bytes read and compared.
    verified: int = 0
    #: Descriptions of keys that have a newer one; of objects the catalogue holds already.
    superseded: int = 0
    known: int = 0
    #: Files that are no post3's.
    foreign: int = 0
    #: Things told of that did not come back, or not as they were.
    lost: int = 0


class BlobRows:
    """Blobs by their names in a storage: one row each, however many objects share it."""

    def __init__(self, verify: bool, counts: Counts, progress: Callable[[], None]) -> None:
        self._verify, self._counts, self._progress = verify, counts, progress

    @contextmanager
    def found_by_name(self) -> Iterator[None]:
        """Have an index of names meanwhile, which no other use of the catalogue would pay for."""
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {INDEX} ON post3_blob (name)")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP INDEX IF EXISTS {INDEX}")

    def need(self, storage: Storage, described: Iterable[DescribedBlob]) -> dict[str, Blob]:
        """Return the blobs of these names, made where they are missing."""
        wanted = {blob.name: blob for blob in described}
        found: dict[str, Blob] = {}
        names = list(wanted)
        for start in range(0, len(names), CHUNK):
            chunk = Blob.objects.filter(name__in=names[start : start + CHUNK], storage_class=storage.storage_class)
            found |= {blob.name: blob for blob in chunk}
        # An older catalogue may have known them as being written, or about to go; now they are described, and there.
        for name, old in found.items():
            if old.state in (Blob.State.PENDING, Blob.State.DELETING):
                found[name] = self._row(storage, wanted[name], old.created_at)
                found[name].pk = old.pk
                found[name].save(force_update=True)
        rows = [self._row(storage, blob, datetime.now(UTC)) for name, blob in wanted.items() if name not in found]
        self._counts.blobs += len(rows)
        return found | {blob.name: blob for blob in Blob.objects.bulk_create(rows, batch_size=CHUNK)}

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
        """Read all bytes; return whether they are what was stored, by their CRC or, where none is told, MD5; and their CRC."""
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


class ObjectRows:
    """Objects by bucket and key, of which the newest description wins."""

    def __init__(self, blobs: BlobRows) -> None:
        self._blobs = blobs

    def put(self, storage: Storage, buckets: dict[str, int], batch: Iterable[DescribedObject]) -> list[Outcome]:
        """Bring descriptions into the catalogue, in the caller's transaction; say of each what became of it."""
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
        sequences: dict[tuple[str, str], int] = {}
        replaced: list[int] = []
        for place, there in _there(buckets, newest).items():
            if there.sidecar == newest[place].new.sidecar:
                outcomes.append(Outcome(newest.pop(place), Put.KNOWN))
            elif (there.last_modified, there.sidecar) >= _age(newest[place]):
                outcomes.append(Outcome(newest.pop(place), Put.SUPERSEDED))
            else:
                replaced.append(there.pk)
                sequences[place] = there.sequence
        for object_id in replaced:
            execute("DELETE FROM post3_object WHERE id = %s", (object_id,))  # the database cascades (migration 0002)
        chosen = list(newest.values())
        blobs = self._blobs.need(storage, (blob for described in chosen for blob in described.blobs()))
        rows = [_row(buckets, described, blobs, sequences) for described in chosen]
        Object.objects.bulk_create(rows, batch_size=CHUNK)
        _put_details(zip(rows, chosen, strict=True), blobs)
        for place, described in newest.items():
            outcome = Put.REPLACED if place in sequences else Put.MADE
            outcomes.append(Outcome(described, outcome, _damage(described, blobs)))
        return outcomes


def _missing(storage: Storage, described: DescribedObject) -> str:
    """Return what of an object's bytes is not there."""
    blobs = described.blobs()
    try:
        sizes = storage.sizes([BlobRef(number, blob.name, blob.size, 0) for number, blob in enumerate(blobs)])
    except StorageError as error:
        return str(error)
    for number, blob in enumerate(blobs):
        if sizes.get(number, -1) < blob.size:
            there = f"{sizes[number]} of {blob.size} bytes are" if number in sizes else f"none of {blob.size} bytes is"
            return f"{there} there: {blob.name}"
    return ""


def _age(described: DescribedObject) -> tuple[datetime, str]:
    return described.new.last_modified, described.new.sidecar


def _there(buckets: dict[str, int], places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Object]:
    """Return what the catalogue has under these buckets and keys."""
    keys = defaultdict(list)
    for bucket, key in places:
        keys[bucket].append(key)
    found: dict[tuple[str, str], Object] = {}
    for bucket, wanted in keys.items():
        rows = Object.objects.filter(bucket_id=buckets[bucket], key__in=wanted, is_latest=True)
        rows = rows.only("pk", "key", "sequence", "last_modified", "sidecar")
        found |= {(bucket, row.key): row for row in rows}
    return found


def _row(
    buckets: dict[str, int], described: DescribedObject, blobs: dict[str, Blob], sequences: dict[tuple[str, str], int]
) -> Object:
    new = described.new
    return Object(
        bucket_id=buckets[described.bucket],
        key=new.key,
        sequence=sequences.get((described.bucket, new.key), 0) + 1,
        owner_id=new.owner_id,
        size=new.size,
        etag=new.etag,
        storage_class=new.storage_class,
        last_modified=new.last_modified,
        checksum_algorithm=new.checksum_algorithm,
        checksum_type=new.checksum_type,
        checksum=new.checksum,
        blob_id=blobs[described.blob.name].pk if described.blob else None,
        parts_count=new.parts_count,
        upload_id=new.upload_id,
        sidecar=new.sidecar,
        **dict(zip(HEADER_COLUMNS, new.headers, strict=True)),
    )


def _put_details(made: Iterable[tuple[Object, DescribedObject]], blobs: dict[str, Blob]) -> None:
    """Insert metadata and parts of objects."""
    metadata: list[ObjectMetadata] = []
    parts: list[ObjectPart] = []
    for row, described in made:
        metadata += (ObjectMetadata(object_id=row.pk, name=name, value=value) for name, value in described.new.metadata.items())
        parts += (
            ObjectPart(
                object_id=row.pk,
                part_number=part.part_number,
                offset=part.offset,
                size=part.size,
                checksum=part.checksum,
                blob_id=blobs[part.blob.name].pk if part.blob else None,
            )
            for part in described.parts
        )
    ObjectMetadata.objects.bulk_create(metadata, batch_size=CHUNK)
    ObjectPart.objects.bulk_create(parts, batch_size=CHUNK)


def _damage(described: DescribedObject, blobs: dict[str, Blob]) -> str:
    damaged = [blob.name for blob in described.blobs() if blobs[blob.name].state == Blob.State.DAMAGED]
    return f"its bytes are damaged, and marked so: {', '.join(damaged)}" if damaged else ""
