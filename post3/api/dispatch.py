"""The path of every S3 request: find the operation, authenticate, authorise, call the view, turn S3Error into XML."""

import logging
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from random import getrandbits

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from ..access import keys, permissions, rate_limit
from ..access.callers import ANONYMOUS, Caller
from ..access.permissions import AccessRequest
from ..db import outages
from ..errors import InsufficientStorage, InternalError, S3Error, SlowDown
from ..s3 import responses, sigv4
from ..s3.body import body_of
from ..s3.headers import adopt_parameters, copy_source_of
from ..s3.hosts import refuse_other_hosts
from ..s3.request import S3Request, request_of_django
from ..s3.responses import S3Response
from ..services import disk_reserve
from ..storage.base import BlobDamaged, StorageError, is_full
from ..telemetry import requests
from ..telemetry.counters import counts
from ..telemetry.requests import Observation
from ..web import origins, proxies
from . import operations
from .exchange import Exchange, SentPieces
from .operations import Operation

logger = logging.getLogger("post3")

#: Actions of the operations that need free space on the disk.
CREATE = "s3:CreateBucket"
GROWS = frozenset(("s3:PutObject", CREATE))
#: Stands for a request that matches no operation.
UNKNOWN = Operation("", "")

counts.declare(
    (row.name for table in (operations.SERVICE, operations.BUCKET, operations.OBJECT) for row in table.values() if row.view),
    {200, 204, 206, 302, 304} | {error.status for error in S3Error.__subclasses__()},
)


# A project's ATOMIC_REQUESTS must not apply to S3. Errors become responses here, so a failed request would be
# committed. And no transaction may wait for a client (architecture, decision 4).
@transaction.non_atomic_requests
@csrf_exempt
def dispatch(request: HttpRequest, path: str, **captured: object) -> HttpResponseBase:
    """Answer an S3 request as a Django view. `path` is the rest of the path after the prefix where post3 is mounted.

    Arguments captured by the project's own route to that prefix are ignored.
    """
    mount = request.path[: len(request.path) - len(path)].removesuffix("/")
    proxies.settle_request(request)  # Django's own handlers have not done this
    body = body_of(request)
    exchange = Exchange(getattr(request, "scope", request.META), body)
    try:
        response = answer(exchange, request.method or "GET", partial(request_of_django, request, body, mount))
        made = as_django(response, exchange)
    except BaseException:  # a bug in post3, or an exception with which the server stops a thread
        exchange.finish()
        raise
    # The server calls the closer when everything has been sent, or nothing more can be.
    made._resource_closers.append(exchange.finish)  # type: ignore[attr-defined]  # not in django-stubs
    made.post3_exchange = exchange  # type: ignore[attr-defined]  # for the server's own handler
    return made


vars(dispatch).update(goes_around_middleware=True, is_s3_catch_all=True)


def answer(exchange: Exchange, method: str, read_request: Callable[[], S3Request]) -> S3Response:
    """Return the response to an S3 request, and record it. Errors that `read_request` raises become responses too."""
    observation = exchange.record
    # It only needs to be unique. The system's random bytes would cost a call that releases the GIL.
    observation.request_id = request_id = f"{getrandbits(64):016X}"
    try:
        request = read_request()
        observation.bucket, observation.key = request.bucket, request.key
        refuse_other_hosts(request)
        console_url = (
            origins.console_url(request.secure, request.forwarded_host or request.header("host"))
            if _is_browser(request)
            else None
        )
        response = responses.empty(302, {"Location": console_url}) if console_url else _answer(request, observation)
    except Exception as error:
        refusal = _as_s3_error(error, request_id)
        observation.error = refusal.code if refusal.status >= 400 else ""
        exchange.drain_body()
        response = responses.error_response(refusal, method, request_id, _host_id(request_id))
    observation.status = response.status
    response.headers["x-amz-request-id"] = request_id
    response.headers["x-amz-id-2"] = _host_id(request_id)
    return response


def as_django(response: S3Response, exchange: Exchange) -> HttpResponseBase:
    """Convert a response to Django's, which records what the server sends of it."""
    made: HttpResponseBase
    if isinstance(response.body, bytes):
        made = HttpResponse(response.body, status=response.status)
        exchange.sent_whole(len(response.body))
    else:
        made = StreamingHttpResponse(SentPieces(response.body, exchange), status=response.status)
    del made["Content-Type"]
    for name, value in response.head():
        made[name.decode("latin-1")] = value.decode("latin-1")
    return made


def _answer(request: S3Request, observation: Observation) -> S3Response:
    shape, found = operations.find(request)
    if found is not None and found.view is not None:
        observation.operation = found.name
    outages.reach()
    if sigv4.is_signed(request):
        request.caller = _authenticate(request, observation)
        operation = operations.implemented(request, shape, found)
        _authorise(request, operation)
    else:
        # Before any error about the operation: an anonymous client must not find out what exists (D71).
        request.caller = ANONYMOUS
        _authorise(request, found or UNKNOWN)
        operation = operations.implemented(request, shape, found)
    view = operation.view
    assert view is not None  # `implemented` raises otherwise
    _check_owners_and_source(request, operation)
    if operation.action in GROWS:
        disk_reserve.refuse_growth()
    if request.method in ("GET", "HEAD"):
        return outages.retry_read(lambda: view(request))
    return view(request)


def _authorise(request: S3Request, operation: Operation) -> None:
    """Authorise everything that the operation does to the bucket. Raises AccessDenied, NoSuchBucket (B134)."""
    if not request.bucket or operation.action == CREATE:
        permissions.authorise(AccessRequest(request.caller, operation.action, request.bucket))
    else:
        questions = partial(operation.questions, request)
        request.grant = permissions.grant(request.caller, request.bucket, questions, fresh=operation.fresh)


def _check_owners_and_source(request: S3Request, operation: Operation) -> None:
    """Check the owners that the client expects, and authorise reading the source of a copy.

    Raises AccessDenied, NoSuchBucket, InvalidBucketOwnerAWSAccountID, and InvalidArgument for a malformed source.
    """
    headers = request.headers
    if "x-amz-expected-bucket-owner" in headers and "x-amz-expected-bucket-owner" in operation.headers:
        permissions.check_expected_owner(headers["x-amz-expected-bucket-owner"])
    if operation.source_action:
        request.source = permissions.grant_one(request.caller, operation.source_action, *copy_source_of(request))
        if "x-amz-source-expected-bucket-owner" in headers:
            permissions.check_expected_owner(headers["x-amz-source-expected-bucket-owner"])


def _authenticate(request: S3Request, observation: Observation) -> Caller:
    """Return the caller whose key signed the request."""
    signature = sigv4.parse_signature(request)
    observation.access_key = signature.access_key
    secret, caller = keys.look_up(signature.access_key)
    request.signing = sigv4.verify_signature(request, signature, secret, datetime.now(UTC))
    try:
        rate_limit.spend_request(caller.access_key)
    except SlowDown:
        requests.note_limited()
        raise
    if signature.expires is not None:
        adopt_parameters(request, signature.signed_headers)
    return caller


def _is_browser(request: S3Request) -> bool:
    """Whether a person opened the server's root in a browser."""
    return (
        request.method == "GET"
        and not request.bucket
        and not request.raw_query
        and "authorization" not in request.headers
        and "text/html" in request.header("accept")
    )


def _as_s3_error(error: Exception, request_id: str) -> S3Error:
    """Convert an exception to an S3Error. Log failures of post3, the database and the storage."""
    if isinstance(error, S3Error):
        return error
    if isinstance(error, OperationalError | InterfaceError | StorageError) and not isinstance(error, BlobDamaged):
        kind = "full" if is_full(error) else type(error).__name__
        outages.log_burst(logger, kind, "Request %s failed: %s: %s", request_id, type(error).__name__, error)
        return InsufficientStorage() if kind == "full" else outages.unavailable()
    logger.exception("Request %s failed", request_id, exc_info=error)
    if isinstance(error, BlobDamaged):
        return InternalError("The stored bytes of this object are damaged or missing.")
    return InternalError()


def _host_id(request_id: str) -> str:
    """Return the second id that S3 puts into every response. Here it is derived from the first."""
    return b64encode(request_id.encode()).decode()
