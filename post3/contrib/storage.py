"""`Post3Storage`: store Django's files in post3, without HTTP, in the same transaction as the rows that name them.

    STORAGES = {
        "default": {
            "BACKEND": "post3.contrib.storage.Post3Storage",
            "OPTIONS": {"bucket": "media", "create_bucket": True, "public_origin": "https://example.com/s3"},
        },
        …
    }

The project has `post3` in INSTALLED_APPS, and its catalogue is the project's `default` database. A file saved in a
transaction of that database (`ATOMIC_REQUESTS`, `transaction.atomic`) exists once the transaction commits. A rollback
leaves neither object nor bytes, and restores everything that was overwritten or deleted. Outside a transaction, each
call commits immediately.
"""

import contextlib
import posixpath
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousFileOperation
from django.core.files import File
from django.core.files.storage import Storage
from django.utils import timezone
from django.utils.deconstruct import deconstructible

from ..access import keys
from ..access.callers import OPERATOR, project_caller
from ..access.permissions import AccessRequest, Grant, grant_one, is_allowed
from ..catalogue.rows import CommonPrefix, ObjectRow
from ..conf import conf
from ..errors import (
    AccessDenied,
    BucketAlreadyOwnedByYou,
    EntityTooLarge,
    InvalidAccessKeyId,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
)
from ..s3.presigning import presign_get
from ..services import buckets, deletions, listings, objects
from ..values import Conditions, Description
from .files import FilePayload, ObjectReader, StoredFile, content_type_of, open_source

#: Names per page of a listing.
PAGE = 1000


@deconstructible(path="post3.contrib.storage.Post3Storage")
class Post3Storage(Storage):
    """A Django storage in a bucket of this project's post3.

    In addition to the documented errors, methods raise `post3.errors.S3Error` for anything that S3 would refuse, such
    as a key of more than 1,024 bytes, and `post3.storage.base.StorageError` if the bytes cannot be written or read.
    """

    def __init__(
        self,
        bucket: str = "",
        *,
        location: str = "",
        owner: str = "",
        create_bucket: bool = False,
        allow_overwrite: bool = False,
        public_origin: str = "",
        access_key: str = "",
        expires: int = 3600,
        storage_class: str = "STANDARD",
    ) -> None:
        """Store the options. System checks validate them.

        `location`: a prefix of all keys, like a directory.
        `create_bucket`: create a missing bucket at the first save. It then belongs to the user `owner`, who is created
        without a password if missing; without `owner`, to the only superuser. The owner gets an API key to sign URLs.
        `allow_overwrite`: a file whose name is taken replaces the existing file, instead of getting a free name.
        `public_origin`: where browsers reach S3, with the path post3 is mounted at: `https://example.com/s3`.
        Without it, POST3_PUBLIC_ORIGIN.
        `access_key`: the API key that signs URLs; without it, the newest active key of the bucket's owner.
        `expires`: seconds that a URL is valid, at most a week (604800).
        """
        self.bucket, self.location, self.owner = bucket, location, owner
        self.create_bucket, self.allow_overwrite = create_bucket, allow_overwrite
        self.public_origin, self.access_key, self.expires = public_origin, access_key, expires
        self.storage_class = storage_class

    def key_of(self, name: str) -> str:
        """Return the key of a file. Raises SuspiciousFileOperation for invalid file names."""
        name = str(name).replace("\\", "/")
        if not name or "\x00" in name or {"", ".", ".."} & set(name.split("/")):
            raise SuspiciousFileOperation(f"{name!r} is no name of a file.")
        return self._prefix() + name

    def _grant(self, action: str, key: str = "") -> Grant:
        """Apply the rule for S3 requests to the project itself. Raises PermissionDenied, NoSuchBucket.

        The caller that services see is the owner of the bucket. The bucket's state is loaded each time, so that a
        service does not find it out of date, and then raise S3's errors in place of these.
        """
        try:
            granted = grant_one(OPERATOR, action, self.bucket, key, fresh=True)
        except AccessDenied:
            raise self._denied(action, key) from None
        return granted._replace(caller=project_caller(granted.bucket.owner_id))

    def _denied(self, action: str, key: str = "") -> PermissionDenied:
        return PermissionDenied(f"Post3Storage may not {action} on {self.bucket}/{key}.")

    def _prefix(self) -> str:
        return f"{self.location.strip('/')}/" if self.location.strip("/") else ""

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        """Open for reading: "rb", or "r" for UTF-8 text. Raises FileNotFoundError, and ValueError for other modes."""
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"Post3Storage opens files for reading, not {mode!r}. To write, call save(name, content).")
        return StoredFile(lambda: self._reader(name), name, mode)

    def _reader(self, name: str) -> ObjectReader:
        try:
            return ObjectReader(self._grant("s3:GetObject", self.key_of(name)), self.key_of(name))
        except (NoSuchKey, NoSuchBucket):
            raise self._not_found(name) from None

    def _save(self, name: str, content: Any) -> str:
        """Store a file and return its name, a new one if the name has been taken meanwhile.

        Raises ImproperlyConfigured if the bucket is missing and may not be created.
        """
        grant = self._grant_or_make_bucket("s3:PutObject", self.key_of(name))
        conditions = Conditions() if self.allow_overwrite else Conditions(if_none_match="*")
        given = {"content_type": content_type_of(name, content), "metadata": {}}
        description = Description(self.storage_class, given)
        with open_source(content) as source:
            if source.length > conf.MAX_OBJECT_SIZE:
                raise EntityTooLarge(ProposedSize=source.length, MaxSizeAllowed=conf.MAX_OBJECT_SIZE)
            while True:
                payload = FilePayload(source)
                try:
                    # No read-ahead: the content may be a file in this storage that only this thread's transaction sees.
                    objects.put_object(grant, self.key_of(name), description, payload, conditions, ahead=False)
                    return name
                except PreconditionFailed:
                    name = self._another_name(name)

    def _another_name(self, name: str) -> str:
        """Return a free name to replace a taken one, which may be taken by a transaction that this one cannot see."""
        directory, file_name = posixpath.split(name)
        root, extension = posixpath.splitext(file_name)
        return self.get_available_name(posixpath.join(directory, self.get_alternative_name(root, extension)))

    def _grant_or_make_bucket(self, action: str, key: str) -> Grant:
        """Return a grant; create the bucket if it is missing and `create_bucket` is set."""
        try:
            return self._grant(action, key)
        except NoSuchBucket:
            if not self.create_bucket:
                raise ImproperlyConfigured(
                    f"Post3Storage: there is no bucket {self.bucket!r}. Make it with any S3 client, or set create_bucket."
                ) from None
        if not is_allowed(AccessRequest(OPERATOR, "s3:CreateBucket", self.bucket)):
            raise self._denied("s3:CreateBucket")
        try:
            owner = keys.find_user(self.owner or None, create=bool(self.owner))
            if not self.access_key and not keys.has_active_key(owner):
                keys.create_api_key(owner, f"signs URLs of the bucket {self.bucket}")
        except (keys.NoSuchUser, keys.InactiveUser) as error:
            raise ImproperlyConfigured(f"Post3Storage cannot make its bucket {self.bucket!r}: {error}") from None
        with contextlib.suppress(BucketAlreadyOwnedByYou):  # created by another process since the lookup
            buckets.create_bucket(self.bucket, project_caller(owner.pk), None if conf.REGION == "us-east-1" else conf.REGION)
        return self._grant(action, key)

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        if self.allow_overwrite:
            return not (max_length and len(name) > max_length)
        return super().is_name_available(name, max_length)

    def delete(self, name: str) -> None:
        """Delete a file if it exists. Raises ValueError without a name."""
        if not name:
            raise ValueError("The name must be given to delete().")
        with contextlib.suppress(NoSuchBucket):
            deletions.delete_object(self._grant("s3:DeleteObject", self.key_of(name)), self.key_of(name), Conditions())

    def exists(self, name: str) -> bool:
        """Return whether a file with that name exists. A directory does not count."""
        try:
            self._head(name)
        except FileNotFoundError:
            return False
        return True

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the sorted names of directories and of files directly below `path`; "" is the top."""
        path = str(path).replace("\\", "/").strip("/")
        prefix = f"{self.key_of(path)}/" if path not in ("", ".") else self._prefix()
        directories, files = [], []
        for entry in self._entries(prefix):
            if isinstance(entry, CommonPrefix):
                directories.append(entry.prefix[len(prefix) : -1])
            elif len(entry.key) > len(prefix):  # some clients create objects for directories
                files.append(entry.key[len(prefix) :])
        return directories, files

    def _entries(self, prefix: str) -> Iterator[Any]:
        after, more = "", True
        while more:
            try:
                page = listings.list_objects(self._grant("s3:ListBucket"), prefix, "/", after, PAGE, skip_marker_prefix=True)
            except NoSuchBucket:
                return
            yield from page.entries
            after, more = page.last, page.is_truncated

    def size(self, name: str) -> int:
        """Return the file's size in bytes. Raises FileNotFoundError."""
        return self._head(name).size

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file was stored, with a time zone if USE_TZ is set. Raises FileNotFoundError."""
        moment = self._head(name).last_modified
        return moment.astimezone(UTC) if settings.USE_TZ else timezone.make_naive(moment)

    def get_created_time(self, name: str) -> datetime:
        """Return the same as `get_modified_time`: a file is replaced, never changed. Raises FileNotFoundError."""
        return self.get_modified_time(name)

    def url(self, name: str | None, parameters: dict[str, str] | None = None, expire: int | None = None) -> str:
        """Return a presigned URL to GET the file, whether or not the file exists.

        `parameters`: response headers to set, like `{"response-content-disposition": 'attachment; filename="a.pdf"'}`.
        `expire`: seconds, in place of the option. Raises ImproperlyConfigured without an origin or a key.
        """
        if not name:
            raise ValueError("This file has no name, and so no URL.")
        origin = self.public_origin or conf.PUBLIC_ORIGIN
        if not origin:
            raise ImproperlyConfigured("Post3Storage makes no URLs without public_origin (or the setting POST3_PUBLIC_ORIGIN).")
        try:
            secret, signing = keys.look_up(self.access_key) if self.access_key else keys.find_signer(self.bucket)
        except InvalidAccessKeyId:
            raise ImproperlyConfigured(f"Post3Storage: there is no active API key {self.access_key!r}.") from None
        except keys.NoApiKey as error:
            raise ImproperlyConfigured(f"Post3Storage cannot sign URLs: {error}") from None
        signer = (signing.access_key, secret)
        seconds = self.expires if expire is None else expire
        return presign_get(origin, self.bucket, self.key_of(name), signer, conf.REGION, seconds, datetime.now(UTC), parameters)

    def _head(self, name: str) -> ObjectRow:
        try:
            return objects.head_object(self._grant("s3:GetObject", self.key_of(name)), self.key_of(name), Conditions())
        except (NoSuchKey, NoSuchBucket):
            raise self._not_found(name) from None

    def _not_found(self, name: str) -> FileNotFoundError:
        return FileNotFoundError(f"There is no file {name!r} in the bucket {self.bucket!r}.")
