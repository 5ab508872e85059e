"""Read the descriptions written by `sidecars.py`, from a tree in which any file may be damaged.

A description that is incomplete, foreign or of an unknown format raises `Unreadable`, with the reason. Nothing of it
may reach the catalogue, because half an object is worse than a missing one. Formats 1 and 2 are supported.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .. import checksums
from ..access.accounts import is_account_id
from ..catalogue.attributes import HEADERS
from ..catalogue.rows import NewObject
from ..models import Bucket
from ..s3.names import MAX_KEY_SIZE, is_valid_name
from ..web.header_fields import clean_given
from .sidecars import FORMAT

MAX_NUMBER, MAX_USER_ID, MAX_PART_NUMBER = 2**63 - 1, 2**31 - 1, 10_000
#: Maximum characters of texts that the catalogue does not limit.
MAX_TEXT = 1 << 20
# Characters that no database accepts but JSON can contain: NUL, and halves of surrogate pairs.
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Unreadable(Exception):
    """A description that post3 did not write, or that this release does not support. The message gives the reason."""


@dataclass(frozen=True, slots=True)
class DescribedBucket:
    name: str
    owner_id: int
    owner_name: str
    region: str
    created_at: datetime
    #: The id of the owner's account; empty in descriptions by older releases.
    account: str = ""
    #: A `Bucket.Versioning`; never enabled in descriptions by older releases.
    versioning: str = Bucket.Versioning.NEVER


@dataclass(frozen=True, slots=True)
class DescribedBlob:
    """Bytes in a storage, by name. The checksums are empty if unknown."""

    name: str
    size: int
    md5: str
    crc64nvme: str


@dataclass(frozen=True, slots=True)
class DescribedPart:
    part_number: int
    offset: int
    size: int
    checksum: str
    blob: DescribedBlob | None


@dataclass(frozen=True, slots=True)
class DescribedObject:
    bucket: str
    owner_name: str
    new: NewObject
    blob: DescribedBlob | None
    parts: tuple[DescribedPart, ...]
    #: A message about ignored content of the description; empty if nothing was ignored.
    left_out: str = ""

    def blobs(self) -> list[DescribedBlob]:
        """Return all blobs of the object, in order."""
        return [blob for blob in (self.blob, *(part.blob for part in self.parts)) if blob is not None]


def read_bucket(document: bytes) -> DescribedBucket:
    """Read the description of a bucket. Raises Unreadable."""
    fields = _Fields(_parse(document))
    return DescribedBucket(
        name=_bucket_name(fields),
        owner_id=fields.number("owner_id", MAX_USER_ID, least=1),
        owner_name=fields.text("owner", 150, ""),
        region=fields.text("region", 64),
        created_at=fields.moment("created_at"),
        account=fields.account("account"),
        versioning=fields.choice("versioning", Bucket.Versioning.values, Bucket.Versioning.NEVER),
    )


def read_object(document: bytes, sidecar: str, storage_class: str) -> DescribedObject:
    """Read the description of an object, found under that name in the storage of that class. Raises Unreadable.

    The storage class in the description is ignored, because the storage that has the bytes decides. Headers that cannot
    be sent are cleaned, and metadata that cannot be headers is omitted (D69).
    """
    fields = _Fields(_parse(document))
    key = fields.text("key", MAX_KEY_SIZE)
    if not 0 < len(key.encode()) <= MAX_KEY_SIZE:
        raise Unreadable(f"its key has {len(key.encode())} bytes")
    if fields.text("version_id", 32) != "null":
        raise Unreadable("it is the description of a version, which this release does not support")
    size, etag, name = fields.number("size"), fields.text("etag", 40), fields.text("blob")
    parts = _parts(fields)
    md5 = etag if _MD5.fullmatch(etag) else ""
    blob = DescribedBlob(name, size, md5, fields.checksum("crc64nvme")) if name else None
    if (blob is not None) if parts else (blob is None) != (size == 0):
        raise Unreadable("its size does not match its bytes")
    if parts and sum(part.size for part in parts) != size:
        raise Unreadable("its size is not the sum of its parts")
    headers, metadata = fields.texts("headers"), fields.texts("metadata")
    new = NewObject(
        key=key,
        owner_id=fields.number("owner_id", MAX_USER_ID, least=1),
        size=size,
        etag=etag,
        storage_class=storage_class,
        last_modified=fields.moment("last_modified"),
        checksum_algorithm=fields.text("checksum_algorithm", 16),
        checksum_type=fields.text("checksum_type", 16),
        checksum=fields.text("checksum", 80),
        parts_count=len(parts),
        upload_id=fields.text("upload_id", 64, ""),
        sidecar=sidecar,
        **clean_given({name: headers.get(name, "") for name in HEADERS} | {"metadata": metadata}),
    )
    dropped = len(metadata) - len(new.metadata)
    left_out = f"omitted metadata that cannot be headers: {dropped}" if dropped else ""
    return DescribedObject(_bucket_name(fields), fields.text("owner", 150, ""), new, blob, parts, left_out)


def _parse(document: bytes) -> Any:
    try:
        values = json.loads(document)
    except (ValueError, RecursionError):
        raise Unreadable("it is not a JSON document: torn, or not a description") from None
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise Unreadable("it is not a description")
    if not 1 <= values["format"] <= FORMAT:
        raise Unreadable(f"it has format {values['format']}, which this release does not support")
    return values


def _parts(fields: "_Fields") -> tuple[DescribedPart, ...]:
    parts: list[DescribedPart] = []
    offset = 0
    for values in fields.items("parts"):
        part = _Fields(values)
        number, size = part.number("part_number", MAX_PART_NUMBER, least=1), part.number("size")
        name = part.text("blob")
        if (size == 0) != (name == "") or (parts and number <= parts[-1].part_number):
            raise Unreadable(f"its part {number} does not match the other parts, or its bytes")
        md5 = part.text("md5", 32, "")
        blob = DescribedBlob(name, size, md5 if _MD5.fullmatch(md5) else "", part.checksum("crc64nvme")) if name else None
        parts.append(DescribedPart(number, offset, size, part.text("checksum", 64), blob))
        offset += size
    return tuple(parts)


def _bucket_name(fields: "_Fields") -> str:
    name = fields.text("bucket", 63)
    if not is_valid_name(name):
        raise Unreadable(f"{name!r} cannot be a bucket")
    return name


class _Fields:
    """The values of a JSON object, read by type. All methods raise Unreadable."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise Unreadable("it lacks a JSON object")
        self._values = values

    def text(self, name: str, most: int = MAX_TEXT, default: str | None = None) -> str:
        """Return a text of at most that many characters. Without a default, it is required."""
        return self._text(name, self._values.get(name, default), most)

    def number(self, name: str, most: int = MAX_NUMBER, *, least: int = 0) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Unreadable(f"its {name} is not a number in the valid range")
        return value

    def moment(self, name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(self.text(name, 64))
        except ValueError:
            raise Unreadable(f"its {name} is not a date") from None
        if moment.tzinfo is None or not 1970 <= moment.year < 9999:
            raise Unreadable(f"its {name} is not a valid time")
        return moment

    def checksum(self, name: str) -> str:
        """Return a CRC-64/NVME; empty if it is missing or invalid."""
        value = self.text(name, 12, "")
        return value if value and checksums.is_valid("CRC64NVME", value) else ""

    def account(self, name: str) -> str:
        """Return the id of an account; empty if it is missing or invalid."""
        value = self.text(name, 12, "")
        return value if is_account_id(value) else ""

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """Return one of several texts."""
        value = self.text(name, default=default)
        if value not in choices:
            raise Unreadable(f"its {name} is {value!r}, which this release does not support")
        return value

    def texts(self, name: str) -> dict[str, str]:
        values = self._values.get(name)
        if not isinstance(values, dict):
            raise Unreadable(f"its {name} are missing")
        return {self._text(name, key, MAX_TEXT): self._text(name, value, MAX_TEXT) for key, value in values.items()}

    def items(self, name: str) -> list[Any]:
        values = self._values.get(name)
        if not isinstance(values, list):
            raise Unreadable(f"its {name} are missing")
        return values

    def _text(self, name: str, value: Any, most: int) -> str:
        if not isinstance(value, str):
            raise Unreadable(f"its {name} is not text")
        if len(value) > most or _IMPOSSIBLE.search(value):
            raise Unreadable(f"its {name} is text that the catalogue cannot store")
        return value
