"""Services use a bucket's state in memory. If it is out of date, they start again with authorization."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from ..access.permissions import Grant
from ..catalogue.buckets import BucketChanged, load_bucket
from ..errors import OperationAborted

_ATTEMPTS = 5
P = ParamSpec("P")
T = TypeVar("T")


def renewing(work: Callable[Concatenate[Grant, P], T]) -> Callable[Concatenate[Grant, P], T]:
    """Repeat work that raises BucketChanged, with a renewed grant.

    The work must be repeatable. A service that consumes a body decorates only the steps after that.
    Raises NoSuchBucket, AccessDenied, and OperationAborted if the bucket keeps changing.
    """

    @wraps(work)
    def run(grant: Grant, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_ATTEMPTS):
            try:
                return work(grant, *args, **kwargs)
            except BucketChanged:
                grant = grant.renew()
        raise OperationAborted()

    return run


@renewing
def current(grant: Grant) -> Grant:
    """Return a grant whose state has just been loaded. Raises NoSuchBucket, AccessDenied."""
    refresh(grant)
    return grant


def refresh(grant: Grant) -> None:
    """Load the state of a grant's bucket. Raises BucketChanged if the grant's state is out of date, NoSuchBucket."""
    if load_bucket(grant.bucket.name) != grant.bucket:
        raise BucketChanged(grant.bucket.name)
