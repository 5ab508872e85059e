"""Rebuild a lost catalogue from the descriptions of buckets and objects that storages keep beside the bytes.

Buckets are read first, then all descriptions of objects, in the order in which the storage returns them. They are
inserted in batches, each in one transaction. The newest description of a key wins. Only a batch, the buckets and the
users are in memory. A description is used only if the storage has its bytes. Running an interrupted rebuild again
resumes it.

Nothing in a storage is written or deleted. Data that storages do not have is lost: API keys, passwords, permissions in
the console, unfinished multipart uploads, and objects whose bytes were in the lost database.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from ...access.accounts import restore_account
from ...conf import conf
from ...db.bulk_insert import refresh_statistics
from ...descriptions.described import DescribedBucket, DescribedObject, Unreadable, read_bucket, read_object
from ...descriptions.sidecars import describing_storages
from ...models import Bucket, Object, WorkerState
from ...storage.base import StorageError
from ...storage.capabilities import Describing
from .owners import Owners
from .rows import BlobRows, ObjectRows, Put, RebuildCounts

#: Maximum descriptions, and blobs, of one transaction. The last description may exceed it by up to 10,000 parts.
BATCH = 1000
#: Maximum bytes of a description that is read. A description of 10,000 parts has a third of that.
MAX_DOCUMENT = 16 << 20
#: The row of `WorkerState` that exists while a rebuild is unfinished.
UNFINISHED = "rebuild_catalog"


class RebuildRefused(Exception):
    """The catalogue cannot be rebuilt. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a storage that was not restored, or not completely."""

    #: The name of a description, a bucket, or a file that post3 did not create.
    name: str
    reason: str
    #: False if the catalogue is complete without it.
    is_loss: bool = True


@dataclass(slots=True)
class Rebuild:
    """A rebuild: its options, the functions that report faults and progress, and its results."""

    verify: bool
    merge: bool
    tell: Callable[[Fault], None]
    progress: Callable[[RebuildCounts], None]
    counts: RebuildCounts = field(default_factory=RebuildCounts)
    #: The names of created users, by id.
    users: dict[int, str] = field(default_factory=dict)

    def fault(self, name: str, reason: str, is_loss: bool = True) -> None:
        self.counts.lost += is_loss
        self.tell(Fault(name, reason, is_loss))

    def as_dict(self) -> dict[str, object]:
        return {**self.counts.as_dict(), "users": self.users}


def rebuild_catalog(rebuild: Rebuild) -> None:
    """Restore everything that storages describe. Raises RebuildRefused, StorageError if a storage cannot be listed."""
    storages = describing_storages()
    if not storages:
        raise RebuildRefused("No configured storage keeps descriptions, so there is nothing to rebuild from (POST3_STORAGE).")
    unfinished = WorkerState.objects.filter(name=UNFINISHED).exists()
    if not (rebuild.merge or unfinished) and (Bucket.objects.exists() or Object.objects.exists()):
        raise RebuildRefused(
            "The catalogue already has buckets. Use an empty one (DATABASE_URL or POST3_DATA_DIR, then `migrate`), or --merge "
            "to add missing and newer objects while no server runs."
        )
    WorkerState.objects.get_or_create(name=UNFINISHED)
    blobs = BlobRows(rebuild.verify, rebuild.counts, lambda: rebuild.progress(rebuild.counts))
    with blobs.found_by_name():
        run = _Run(rebuild, blobs, Owners(rebuild.users, trusting=rebuild.merge or unfinished))
        for storage in storages:
            run.take_buckets(storage)
        for storage in storages:
            run.take_objects(storage)
        run.finish()
    WorkerState.objects.filter(name=UNFINISHED).delete()


class _Run:
    """One pass through the storages."""

    def __init__(self, rebuild: Rebuild, blobs: BlobRows, owners: Owners) -> None:
        self._rebuild, self._counts, self._owners = rebuild, rebuild.counts, owners
        self._objects = ObjectRows(blobs)
        #: Bucket name -> id.
        self._buckets: dict[str, int] = dict(Bucket.objects.values_list("name", "pk"))
        #: Name of a bucket without a description -> the date of its oldest object.
        self._guessed: dict[str, datetime] = {}
        self._analyse_at = BATCH
        #: The account of the newest bucket whose description contains one, and the bucket's creation date.
        self._account: tuple[datetime, str] | None = None

    def take_buckets(self, storage: Describing) -> None:
        for name in storage.described_buckets():
            document = self._document(storage.read_bucket_sidecar, name)
            if document is None:
                continue
            try:
                bucket = read_bucket(document)
                if bucket.name != name:
                    raise Unreadable(f"it is the description of the bucket {bucket.name!r}")
            except Unreadable as error:
                self._rebuild.fault(name, f"the description of this bucket cannot be used: {error}")
                continue
            if bucket.account:
                self._account = max(self._account or (bucket.created_at, bucket.account), (bucket.created_at, bucket.account))
            if bucket.name not in self._buckets:
                self._make_bucket(bucket)

    def take_objects(self, storage: Describing) -> None:
        batch: list[DescribedObject] = []
        blobs = 0
        for stored in storage.walk():
            if stored.is_foreign:
                self._counts.foreign += 1
                self._rebuild.fault(stored.name, "not a file that post3 created", is_loss=False)
            if not stored.is_description:
                continue
            if stored.size > MAX_DOCUMENT:
                self._rebuild.fault(stored.name, f"it has {stored.size} bytes, more than any description")
                continue
            if (document := self._document(storage.read_sidecar, stored.name)) is None:
                continue
            try:
                described = read_object(document, stored.name, storage.storage_class)
            except Unreadable as error:
                self._rebuild.fault(stored.name, str(error))
                continue
            batch.append(described)
            blobs += len(described.blobs())
            if max(len(batch), blobs) >= BATCH:
                self._put(storage, batch)
                batch, blobs = [], 0
        self._put(storage, batch)

    def finish(self) -> None:
        """Date the buckets without a description, restore the account's id, and give users their latest names."""
        for name, created_at in self._guessed.items():
            Bucket.objects.filter(pk=self._buckets[name]).update(created_at=created_at)
        if self._account and not self._rebuild.merge:  # a catalogue from a backup has its own
            restore_account(self._account[1])
        self._owners.finish()

    def _document(self, read: Callable[[str], bytes], name: str) -> bytes | None:
        """Return a description; None if it cannot be read, which is reported."""
        try:
            return read(name)
        except StorageError as error:
            self._rebuild.fault(name, str(error))
            return None

    def _put(self, storage: Describing, batch: list[DescribedObject]) -> None:
        if not batch:
            return
        with transaction.atomic():
            for described in batch:
                self._owners.need(described.new.owner_id, described.owner_name, described.new.last_modified)
                self._need_bucket(described)
            puts = self._objects.put(storage, self._buckets, batch)
        for put in puts:
            if put.outcome is Put.MADE or (put.outcome is Put.REPLACED and self._rebuild.merge):
                self._counts.objects += 1
            elif put.outcome is Put.KNOWN:
                self._counts.known += 1
            elif put.outcome is not Put.LEFT_OUT:  # also a replaced object, which came from an older description
                self._counts.superseded += 1
            if put.fault:
                self._rebuild.fault(put.described.new.sidecar, f"{put.described.bucket}/{put.described.new.key}: {put.fault}")
        if self._counts.objects >= self._analyse_at:
            refresh_statistics("post3_object", "post3_blob")
            self._analyse_at = 2 * self._counts.objects
        self._rebuild.progress(self._counts)

    def _need_bucket(self, described: DescribedObject) -> None:
        """Create the bucket of an object if it has no description, with the data that the object has."""
        name, moment = described.bucket, described.new.last_modified
        if name not in self._buckets:
            self._rebuild.fault(name, "this bucket has no description: its owner, region and date are guesses")
            self._guessed[name] = moment
            self._make_bucket(DescribedBucket(name, described.new.owner_id, described.owner_name, conf.REGION, moment))
        elif name in self._guessed:
            self._guessed[name] = min(self._guessed[name], moment)

    def _make_bucket(self, bucket: DescribedBucket) -> None:
        with transaction.atomic():
            self._owners.need(bucket.owner_id, bucket.owner_name, bucket.created_at)
            made = Bucket.objects.create(
                name=bucket.name, owner_id=bucket.owner_id, region=bucket.region, versioning=bucket.versioning
            )
            Bucket.objects.filter(pk=made.pk).update(created_at=bucket.created_at)  # `auto_now_add` has set the current time
        self._buckets[bucket.name] = made.pk
        self._counts.buckets += 1
