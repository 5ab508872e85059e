"""The one straight line every S3 request takes: find, authenticate, authorise, call the view, turn S3Error into XML."""

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
from ..s3.body import Body, WsgiBody, body_of
from ..s3.headers import adopt_parameters
from ..s3.hosts import refuse_other_hosts
from ..s3.request import S3Request, request_of_django
from ..s3.responses import S3Response
from ..services import disk_reserve
from ..storage.base import BlobDamaged, StorageError, is_full
from ..telemetry import requests
from ..telemetry.counters import counts
from ..telemetry.requests import Observation, ObservedPieces
from ..web import origins, proxies
from . import operations

logger = logging.getLogger("post3")

#: Bytes of an unread body that are read and dropped before an error is sent under WSGI, and seconds in which: servers close the
#: connection, and a client still sending would see a reset instead of the answer. A thread is occupied meanwhile.
DRAIN_SIZE, DRAIN_SECONDS = 1 << 20, 2.0

#: What operations take that need room on the disk.
GROWS = frozenset(("s3:PutObject", "s3:CreateBucket"))

counts.declare(
    (row.name for table in (operations.SERVICE, operations.BUCKET, operations.OBJECT) for row in table.values() if row.view),
    {200, 204, 206, 302, 304} | {error.status for error in S3Error.__subclasses__()},
)


# A project's ATOMIC_REQUESTS is not for S3: errors are answers here, and would commit what went before them; and no transaction
# shall wait for a client (decision 4).
@transaction.non_atomic_requests
@csrf_exempt
def dispatch(request: HttpRequest, path: str, **captured: object) -> HttpResponseBase:
    """Answer an S3 request as a Django view; `path` is what follows the place that post3 is mounted at.

    What the project's own route to that place captured means nothing to S3.
    """
    mount = request.path[: len(request.path) - len(path)].removesuffix("/")
    scope = getattr(request, "scope", None)
    drain = None if scope is not None else _drain
    proxies.settle_request(request)  # under Django's own handlers nothing has
    observation = requests.begin(request.META if scope is None else scope)
    body = body_of(request)
    try:
        response = answer(request.method or "GET", partial(request_of_django, request, body, mount), observation, drain)
        made = as_django(response, observation)
    except BaseException:  # a fault of ours, or the server's way to stop a thread
        _finish(observation, body)
        raise
    # The server calls it when all is sent, or nothing more can be.
    made._resource_closers.append(partial(_finish, observation, body))  # type: ignore[attr-defined]  # not in django-stubs
    return made


vars(dispatch).update(goes_around_middleware=True, is_s3_catch_all=True)


def answer(
    method: str,
    read_request: Callable[[], S3Request],
    observation: Observation,
    drain: Callable[[S3Request], None] | None = None,
) -> S3Response:
    """Answer an S3 request and note it. What `read_request` raises is answered too; `drain` empties a refused request's body."""
    # Unique is enough; the system's random bytes cost a call that lets go of Python's lock.
    observation.request_id = request_id = f"{getrandbits(64):016X}"
    request = None
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
        if request is not None and drain is not None:
            drain(request)
        response = responses.error_response(refusal, method, request_id, _host_id(request_id))
    observation.status = response.status
    response.headers["x-amz-request-id"] = request_id
    response.headers["x-amz-id-2"] = _host_id(request_id)
    return response


def as_django(response: S3Response, observation: Observation) -> HttpResponseBase:
    """Return the answer as Django's servers and middleware want it; note what they take of it."""
    made: HttpResponseBase
    if isinstance(response.body, bytes):
        made = HttpResponse(response.body, status=response.status)
        observation.sent, observation.whole = len(response.body), True
    else:
        made = StreamingHttpResponse(ObservedPieces(response.body, observation), status=response.status)
    del made["Content-Type"]
    for name, value in response.head():
        made[name.decode("latin-1")] = value.decode("latin-1")
    return made


def _finish(observation: Observation, body: Body) -> None:
    observation.received = body.received
    requests.finish(observation)


def _answer(request: S3Request, observation: Observation) -> S3Response:
    shape, found = operations.find(request)
    if found is not None and found.view is not None:
        observation.operation = found.name
    outages.reach()
    if sigv4.is_signed(request):
        request.caller = _authenticate(request, observation)
    else:
        # Before anything is said of the operation: a stranger must not find out what exists (D71).
        wanted = AccessRequest(ANONYMOUS, found.action if found else "", request.bucket, request.key)
        permissions.authorise_stranger(wanted, making=found is not None and found.name == "CreateBucket")
        request.caller = ANONYMOUS
    operation = operations.implemented(request, shape, found)
    view = operation.view
    assert view is not None  # `implemented` raises otherwise
    for access_request in operation.access_requests(request):
        permissions.authorise(access_request)
    if "x-amz-expected-bucket-owner" in request.headers and "x-amz-expected-bucket-owner" in operation.headers:
        permissions.check_expected_owner(request.bucket, request.headers["x-amz-expected-bucket-owner"])
    if operation.action in GROWS:
        disk_reserve.refuse_growth()
    if request.method in ("GET", "HEAD"):
        return outages.retry_read(lambda: view(request))
    return view(request)


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
    """Name an exception in S3's terms. What is no S3Error is a fault of ours or of what we stand on, and is logged."""
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
    """The second id S3 gives every answer; here it says no more than the first."""
    return b64encode(request_id.encode()).decode()


def _drain(request: S3Request) -> None:
    if isinstance(request.body, WsgiBody):
        request.body.drain(DRAIN_SIZE, DRAIN_SECONDS)
