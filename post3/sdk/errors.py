"""Errors: botocore's own, with a class for each kind of refusal that callers tell apart.

All that a server answers with an error status is a `Refused`, which is botocore's `ClientError`; so code that catches that one
works with the SDK and with `client.s3` alike. What prevents an answer (no connection, time-outs) is another `BotoCoreError`,
and what goes wrong with local files an `OSError`, both as they come. An object that was overwritten while it was being
fetched or copied in parts is s3transfer's `S3DownloadFailedError` or `S3CopyFailedError`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from .values import DeleteError


class Refused(ClientError):
    """The server answered with an error. `code`: S3's (`NoSuchKey`; the number alone for HEAD), `status`: HTTP's."""

    @property
    def code(self) -> str:
        return self.response["Error"]["Code"]

    @property
    def status(self) -> int:
        return self.response["ResponseMetadata"]["HTTPStatusCode"]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.response, self.operation_name)


class NotFound(Refused):
    """There is no such bucket, object or upload (404)."""


class AccessDenied(Refused):
    """The key is unknown, its secret is wrong, or it may not do this (401, 403)."""


class Conflict(Refused):
    """What is there forbids it (409: a bucket that is not empty, a name that is taken) or a condition failed (412)."""


class DeleteFailed(Exception):
    """Some objects were not deleted; all others were. `errors` tells which and why, `deleted` how many were."""

    def __init__(self, errors: Sequence[DeleteError], deleted: int) -> None:
        super().__init__(errors, deleted)
        self.errors, self.deleted = tuple(errors), deleted

    def __str__(self) -> str:
        first = self.errors[0]
        return f"{len(self.errors)} objects were not deleted; the first is {first.key!r}: {first.code}: {first.message}"


_BY_STATUS = {401: AccessDenied, 403: AccessDenied, 404: NotFound, 409: Conflict, 412: Conflict}


def refusal(error: ClientError) -> Refused:
    """Return the same error as one of the classes above."""
    if isinstance(error, Refused):
        return error
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _BY_STATUS.get(status, Refused)(error.response, error.operation_name)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn botocore's ClientError into ours; for a `with` block, or as a decorator."""
    try:
        yield
    except ClientError as error:
        raise refusal(error) from error.__cause__
