"""Observe each S3 request, from its head to the last byte of its response, for the metrics and the request log.

`dispatch` records the client, the operation and the response; the handlers record the bytes actually sent and the end.
Recording is plain assignments to one small object. At the end it is added to `counters.counts` and, with
POST3_REQUEST_LOG, written as a line of JSON on the logger `post3.requests`.
"""

import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ..conf import conf
from ..db.outages import log_burst
from .counters import counts

logger = logging.getLogger("post3.requests")
errors = logging.getLogger("post3")
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(slots=True)
class Observation:
    """One request."""

    #: The ASGI scope or the WSGI environment, for the origin of the request.
    source: dict[str, Any]
    #: Start time by `time.perf_counter`.
    began: float
    request_id: str = ""
    #: AWS's name; empty if the request was refused before the operation was known.
    operation: str = ""
    #: As claimed by the request. The signature proves it, unless the request was refused for the signature.
    access_key: str = ""
    bucket: str = ""
    key: str = ""
    #: 0 while there is no response.
    status: int = 0
    error: str = ""
    #: Bytes received of the request's body, including framing, and bytes of the response's body accepted by the server.
    received: int = 0
    sent: int = 0
    #: Whether the response was sent completely.
    whole: bool = False


@cache
def _wanted() -> tuple[bool, bool]:
    """Return whether metrics and the log are on. Cached, because reading the settings costs a microsecond."""
    return conf.METRICS, conf.REQUEST_LOG


def begin(source: dict[str, Any]) -> Observation:
    """Start to observe a request."""
    if _wanted()[0]:
        counts.begin()
    return Observation(source, time.perf_counter())


def finish(observation: Observation) -> None:
    """Record the outcome of a request. Call once per request."""
    counting, logging_too = _wanted()
    seconds = time.perf_counter() - observation.began
    if counting:
        counts.finish(
            observation.operation,
            observation.status,
            seconds,
            observation.received,
            observation.sent,
            observation.whole,
        )
    if logging_too:
        # Not `logger.info`, which searches the stack for the caller.
        logger.handle(logger.makeRecord(logger.name, logging.INFO, "", 0, _encode(_fields(observation, seconds)), (), None))


def note_limited() -> None:
    """Count a request refused by its key's rate limit."""
    if _wanted()[0]:
        counts.refused()


def _fields(observation: Observation, seconds: float) -> dict[str, Any]:
    remote, agent = _sender(observation.source)
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": observation.request_id,
        "access_key": observation.access_key,
        "operation": observation.operation,
        "bucket": observation.bucket,
        "key": observation.key,
        "status": observation.status,
        "error": observation.error,
        "bytes_in": observation.received,
        "bytes_out": observation.sent,
        "whole": observation.whole,
        "seconds": round(seconds, 6),
        "remote": remote,
        "user_agent": agent,
    }


def _sender(source: dict[str, Any]) -> tuple[str, str]:
    """Return the address that a request came from, and its client's user agent."""
    if "wsgi.version" in source or "REQUEST_METHOD" in source:
        return source.get("REMOTE_ADDR", ""), source.get("HTTP_USER_AGENT", "")
    client = source.get("client")
    agent = next((value for name, value in source["headers"] if name == b"user-agent"), b"")
    return client[0] if client else "", agent.decode("latin-1")


def log_broken_off(observation: Observation, error: BaseException) -> None:
    """Log the request that an error ended during its response. The server closes the connection and logs where."""
    kind = f"broken off: {type(error).__name__}"
    log_burst(errors, kind, "Answer %s broke off after %d bytes: %r", observation.request_id, observation.sent, error)
