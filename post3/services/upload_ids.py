"""Ids of multipart uploads: they sort by time, and tell of which key they are, even when the upload has ended.

S3 accepts the id of an upload that was aborted meanwhile as the marker of a listing, or nobody could abort uploads page by page,
and refuses any other (B144). So an id carries a code that only this installation can make.
"""

import secrets
import time

from django.utils.crypto import constant_time_compare, salted_hmac

_TIME, _RANDOM, _CODE = 16, 16, 32


def make(bucket_id: int, key: str) -> str:
    """Make an id: 64 hexadecimal digits of time, chance, and the code of both and the key."""
    unique = f"{time.time_ns():0{_TIME}x}{secrets.token_hex(_RANDOM // 2)}"
    return unique + _code(unique, bucket_id, key)


def is_of(upload_id: str, bucket_id: int, key: str) -> bool:
    """Whether that id was made here for that key of that bucket."""
    unique, code = upload_id[: _TIME + _RANDOM], upload_id[_TIME + _RANDOM :]
    return constant_time_compare(code, _code(unique, bucket_id, key))


def _code(unique: str, bucket_id: int, key: str) -> str:
    return salted_hmac("post3.upload_ids", f"{unique}:{bucket_id}:{key}", algorithm="sha256").hexdigest()[:_CODE]
