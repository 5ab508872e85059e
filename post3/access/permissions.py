"""Who may do what: the only place that says yes or no, for S3, the console, commands and `Post3Storage` alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..catalogue.buckets import find_bucket
from ..db.outages import retry_read
from ..errors import AccessDenied
from .accounts import account_id, check_account_id
from .callers import ANONYMOUS, Caller


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A question to the rule: may this caller do that?"""

    caller: Caller
    #: An IAM action, such as `s3:GetObject`; `post3:...` for what only the console and commands do.
    action: str
    #: The resource; both empty for the service itself, the key empty for a bucket.
    bucket: str = ""
    key: str = ""
    #: Further facts by condition key, such as `s3:VersionId`.
    context: Mapping[str, Any] = field(default_factory=dict)


def known_callers_may_do_everything(request: AccessRequest) -> bool:
    return request.caller is not ANONYMOUS


#: The rule that decides.
rule: Callable[[AccessRequest], bool] = known_callers_may_do_everything


def is_allowed(request: AccessRequest) -> bool:
    """Whether the rule allows a request."""
    return rule(request)


def authorise(request: AccessRequest) -> None:
    """Return if the rule allows a request. Raises AccessDenied."""
    if not rule(request):
        raise AccessDenied()


def authorise_stranger(request: AccessRequest, *, making: bool) -> None:
    """Authorise a request without credentials. Raises AccessDenied, or NoSuchBucket for a bucket that does not exist (B134).

    `making`: the bucket is about to be created.
    """
    if request.bucket and not making:
        retry_read(lambda: find_bucket(request.bucket))
    authorise(request)


def check_expected_owner(bucket: str, expected: str) -> None:
    """Raise AccessDenied if a bucket does not belong to the account that the client expects (B153).

    For `x-amz-expected-bucket-owner` and, of a copy's source, `x-amz-source-expected-bucket-owner`.
    Raises InvalidBucketOwnerAWSAccountID, NoSuchBucket.
    """
    check_account_id(expected)
    find_bucket(bucket)
    if account_id() != expected:
        raise AccessDenied()
