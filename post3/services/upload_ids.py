"""Ids of multipart uploads. They sort by time, and can be verified to belong to a key even after the upload has ended.

S3 accepts the id of an aborted upload as the marker of a listing, so that clients can abort uploads page by page. It
refuses any other id (B144). Therefore an id contains a code that only this installation can compute.
"""

import secrets
import time

from django.utils.crypto import constant_time_compare, salted_hmac

_TIME, _RANDOM, _CODE = 16, 16, 32


def make(bucket_id: int, key: str) -> str:
    """Return a new id: 64 hexadecimal digits of the time, random digits, and the code of both and the key."""
    unique = f"{time.time_ns():0{_TIME}x}{secrets.token_hex(_RANDOM // 2)}"
    return unique + _code(unique, bucket_id, key)


def is_of(upload_id: str, bucket_id: int, key: str) -> bool:
    """Whether this installation made that id for that key of that bucket."""
    unique, code = upload_id[: _TIME + _RANDOM], upload_id[_TIME + _RANDOM :]
    return constant_time_compare(code, _code(unique, bucket_id, key))


def _code(unique: str, bucket_id: int, key: str) -> str:
    return salted_hmac("post3.upload_ids", f"{unique}:{bucket_id}:{key}", algorithm="sha256").hexdigest()[:_CODE]
