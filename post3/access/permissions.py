"""Authorization. All decisions are made here: for S3, the console, commands and `Post3Storage`."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from ..catalogue.buckets import BucketState, known_bucket, load_bucket
from ..db.outages import retry_read
from ..errors import AccessDenied
from .accounts import account_id, check_account_id
from .callers import ANONYMOUS, Caller

_NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})


# Named tuples, because creating one is four times as fast as a frozen dataclass, and each request creates both.
class AccessRequest(NamedTuple):
    """An action that a caller asks to perform. The rule allows or denies it."""

    caller: Caller
    #: An IAM action, such as `s3:GetObject`; `post3:...` for actions of the console and commands only.
    action: str
    #: The resource. Both are empty for the service itself, and the key is empty for a bucket.
    bucket: str = ""
    key: str = ""
    #: Further values by condition key, such as `s3:VersionId`.
    context: Mapping[str, Any] = _NO_CONTEXT
    #: The bucket's settings; None if the request is not about a bucket, or is about one to be created.
    state: BucketState | None = None


class Grant(NamedTuple):
    """An authorized caller, and the state of the bucket on which the rule decided. Services need both."""

    caller: Caller
    bucket: BucketState
    #: Loads the state from the catalogue and authorizes again. Raises NoSuchBucket, AccessDenied.
    renew: Callable[[], "Grant"]


def known_callers_may_do_everything(request: AccessRequest) -> bool:
    return request.caller is not ANONYMOUS


#: The rule that decides.
rule: Callable[[AccessRequest], bool] = known_callers_may_do_everything


def is_allowed(request: AccessRequest) -> bool:
    """Whether the rule allows a request."""
    return rule(request)


def authorise(request: AccessRequest) -> None:
    """Raise AccessDenied unless the rule allows a request."""
    if not rule(request):
        raise AccessDenied()


def grant(
    caller: Caller, bucket: str, questions: Callable[[BucketState], Iterable[AccessRequest]], *, fresh: bool = False
) -> Grant:
    """Authorize everything that a caller is about to do with a bucket. Raises NoSuchBucket, AccessDenied.

    `questions` returns the requests to authorize, given the bucket's state. A state in memory is usually sufficient,
    because services compare its `config_version`. `fresh` loads the state, for actions whose service does not compare
    it. If a state in memory leads to a refusal, the decision is repeated with a newly loaded state, because nothing
    else would detect that the first one was out of date.
    """
    known = None if fresh else known_bucket(bucket)
    if known is not None and all(map(rule, questions(known))):
        return Grant(caller, known, partial(grant, caller, bucket, questions, fresh=True))
    state = retry_read(lambda: load_bucket(bucket))
    if state == known:
        raise AccessDenied()
    for request in questions(state):
        authorise(request)
    return Grant(caller, state, partial(grant, caller, bucket, questions, fresh=True))


def grant_one(caller: Caller, action: str, bucket: str, key: str = "", *, fresh: bool = False) -> Grant:
    """Authorize one action on a bucket or a key. Raises NoSuchBucket, AccessDenied."""
    return grant(caller, bucket, lambda state: (AccessRequest(caller, action, bucket, key, state=state),), fresh=fresh)


def check_expected_owner(expected: str) -> None:
    """Raise AccessDenied if a bucket does not belong to the account that the client expects (B153).

    For `x-amz-expected-bucket-owner` and, for the source of a copy, `x-amz-source-expected-bucket-owner`. All buckets
    belong to a single account. Raises InvalidBucketOwnerAWSAccountID.
    """
    check_account_id(expected)
    if account_id() != expected:
        raise AccessDenied()
