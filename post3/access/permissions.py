"""Who may do what."""

from typing import NoReturn

from ..catalogue.buckets import find_bucket
from ..db.outages import retry_read
from ..errors import AccessDenied
from .accounts import account_id, check_account_id
from .keys import Identity


def authorise(identity: Identity | None, permission: str) -> None:
    """Let a request go on, or raise AccessDenied.

    Every active key may do everything; `permission` is the IAM action that the operation takes.
    """
    if identity is None:
        raise AccessDenied()


def refuse_anonymous(bucket: str, *, making: bool) -> NoReturn:
    """Raise AccessDenied for a request without credentials, or NoSuchBucket where there is no such bucket to be denied (B134).

    `bucket` is empty for requests to the service; `making`: it is to be made.
    """
    if bucket and not making:
        retry_read(lambda: find_bucket(bucket))
    raise AccessDenied()


def check_expected_owner(bucket: str, expected: str) -> None:
    """Raise AccessDenied where a bucket does not belong to the account that the client expects (B153).

    For `x-amz-expected-bucket-owner` and, of a copy's source, `x-amz-source-expected-bucket-owner`.
    Raises InvalidBucketOwnerAWSAccountID, NoSuchBucket.
    """
    check_account_id(expected)
    find_bucket(bucket)
    if account_id() != expected:
        raise AccessDenied()
