"""Errors: botocore's own, plus a class for each kind of refusal that callers distinguish.

Every error response from a server is a `Refused`, which is a subclass of botocore's `ClientError`. Code that catches
`ClientError` therefore works with both the SDK and `client.s3`. If there is no response (no connection, timeouts), the
error is another `BotoCoreError`; problems with local files raise `OSError`. Neither is converted. If an object is
overwritten while it is fetched or copied in parts, s3transfer raises `S3DownloadFailedError` or `S3CopyFailedError`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from .values import DeleteError


class Refused(ClientError):
    """The server returned an error. `code`: S3's (`NoSuchKey`; only the number for HEAD). `status`: HTTP's."""

    @property
    def code(self) -> str:
        code: str = self.response["Error"]["Code"]
        return code

    @property
    def status(self) -> int:
        status: int = self.response["ResponseMetadata"]["HTTPStatusCode"]
        return status

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.response, self.operation_name)


class NotFound(Refused):
    """The bucket, object or upload does not exist (404)."""


class AccessDenied(Refused):
    """The key is unknown, its secret is wrong, or it lacks the permission (401, 403)."""


class Conflict(Refused):
    """The request conflicts with existing data (409: a non-empty bucket, a taken name), or a condition failed (412)."""


class DeleteFailed(Exception):
    """Some objects were not deleted; all others were. `errors` lists them with reasons; `deleted` counts the others."""

    def __init__(self, errors: Sequence[DeleteError], deleted: int) -> None:
        super().__init__(errors, deleted)
        self.errors, self.deleted = tuple(errors), deleted

    def __str__(self) -> str:
        first = self.errors[0]
        return f"{len(self.errors)} objects were not deleted; the first is {first.key!r}: {first.code}: {first.message}"


_BY_STATUS = {401: AccessDenied, 403: AccessDenied, 404: NotFound, 409: Conflict, 412: Conflict}


def refusal(error: ClientError) -> Refused:
    """Return the error as an instance of one of the classes above."""
    if isinstance(error, Refused):
        return error
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _BY_STATUS.get(status, Refused)(error.response, error.operation_name)


@contextmanager
def refusals() -> Iterator[None]:
    """Convert botocore's ClientError to a class above; for a `with` block or as a decorator."""
    try:
        yield
    except ClientError as error:
        raise refusal(error) from error.__cause__
