"""Fuzz every parser in this process. A parser gets what a request contains, and may raise only S3Error."""

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from post3.api import operations
from post3.api.views import completion, describing, objects
from post3.errors import S3Error
from post3.s3 import checksum_headers, headers, parameters, responses, sigv4
from post3.s3.body import WsgiBody
from post3.s3.chunked import ChunkedBody
from post3.s3.payload import open_document, open_payload
from post3.s3.reading import Items, parse
from post3.s3.request import S3Request, request_of_django, request_of_scope
from tests.s3.signing import SCOPE, SECRET, TIMESTAMP, SlowBody, authorization, example_context, frame

from .mutations import Mutator
from .samples import Sample, make, target_of

NOW = datetime(2013, 5, 24, 0, 1, tzinfo=UTC)
#: Seconds that one input may take. The slowest is a document of a few kilobytes.
LIMIT = 2.0
DOCUMENT = 1 << 20
DOCUMENTS = {
    "CompleteMultipartUpload": Items("Part", 10_000, completion.completed_part),
    "CreateBucketConfiguration": None,
    "Delete": Items("Object", 1000, objects._deletion_of),
}


@dataclass(slots=True)
class Outcome:
    """Results of inputs: answers by kind, and findings."""

    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def fuzz_parsers(seed: str, start: int, count: int, outcome: Outcome) -> None:
    """Feed inputs `start` to `start + count` of this seed to the parsers."""
    for number in range(start, start + count):
        mutator = Mutator(f"{seed}/{number}")
        began = time.perf_counter()
        target = _chunks if mutator.happens(0.2) else _request
        try:
            target(mutator, outcome)
        except S3Error as error:
            outcome.answers[error.code] += 1
        except Exception as error:
            outcome.findings.append(f"input {seed}/{number}: {_place(error)}")
        if time.perf_counter() - began > LIMIT:
            outcome.findings.append(f"input {seed}/{number}: took {time.perf_counter() - began:.1f} s")


def _place(error: Exception) -> str:
    """Describe an exception and the line that raised it."""
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('post3/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__}: {str(error)[:200]} at {' '.join(places[-3:])}"


def _request(mutator: Mutator, outcome: Outcome) -> None:
    """Parse a whole request with every parser that any view uses."""
    sample = make(mutator)
    request = _of_environ(sample, mutator) if mutator.happens(0.2) else _of_scope(sample, mutator)
    for parser in PARSERS:
        _allow(parser, request, outcome)
    # Large bodies arrive in larger pieces. One call per byte would take seconds, whatever is parsed.
    request.body = SlowBody(sample.body, mutator.one_of((1, 7, 1 << 20)) if len(sample.body) < 10_000 else 4096)
    _allow(lambda given: open_payload(given, None).read(), request, outcome)
    request.body = SlowBody(sample.body, 1 << 20)
    _allow(lambda given: open_document(given, None, DOCUMENT).read(), request, outcome)
    for root, items in DOCUMENTS.items():
        _allow(lambda _, root=root, items=items: parse(io.BytesIO(sample.body), root, items), request, outcome)


def _allow(parser: Callable[[S3Request], Any], request: S3Request, outcome: Outcome) -> None:
    """Call a parser. An exception must be an S3Error and is turned into a response."""
    try:
        parser(request)
        outcome.answers["parsed"] += 1
    except S3Error as error:
        outcome.answers[error.code] += 1
        answer = responses.error_response(error, request.method, "0", "0")
        assert not any(control in piece for header in answer.head() for piece in header for control in (b"\r", b"\n", b"\0"))


def _verify(request: S3Request) -> None:
    signature = sigv4.parse_signature(request)
    sigv4.verify_signature(request, signature, SECRET, NOW)


def _span(request: S3Request) -> None:
    found, part = headers.range_of(request), parameters.read_part_number(request)
    describing.check_span(request, part)
    if found is not None:
        hash(found)


#: Query parameters are read by the operation that needs them, as the table guarantees.
PARSERS: tuple[Callable[[S3Request], Any], ...] = (
    lambda request: operations.implemented(request, *operations.find(request)),
    sigv4.is_signed,
    _verify,
    describing.description_of,
    headers.conditions_of,
    lambda request: headers.conditions_of(request, "x-amz-copy-source-if-"),
    _span,
    headers.copy_range_of,
    headers.copy_source_of,
    lambda request: parameters.page_size(request, "max-keys", "maxKeys"),
    lambda request: parameters.marker_number(request, "part-number-marker"),
    lambda request: parameters.part_number_of(request) if "partNumber" in request.query else None,
    parameters.check_version_id,
    parameters.url_encoding,
    lambda request: parameters.read_token(request) if "continuation-token" in request.query else None,
    checksum_headers.requested_checksum,
    completion._object_checksums,
    completion._object_size,
    checksum_headers.named_algorithm,
    lambda request: headers.adopt_parameters(request, ()),
)


def _raw(sample: Sample, mutator: Mutator) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """Return the path, query and headers as they arrive, including a signature that may be altered."""
    path, query = (part.encode() for part in target_of(sample))
    if mutator.happens(0.2):
        path = b"/" + mutator.bend(path[1:])
    if mutator.happens(0.2):
        query = mutator.bend(query)
    signed = b"x-amz-content-sha256", hashlib.sha256(sample.body).hexdigest().encode()
    date = b"x-amz-date", mutator.spice() if mutator.happens(0.1) else TIMESTAMP.encode()
    claim = authorization("host;x-amz-content-sha256;x-amz-date", "0" * 64).encode()
    given = [(b"host", b"localhost"), signed, date, (b"content-length", b"%d" % len(sample.body)), *sample.headers]
    if mutator.happens(0.3):
        claims = {b"Algorithm": b"AWS4-HMAC-SHA256", b"Credential": f"AKIA/{SCOPE}".encode(), b"Date": date[1], b"Expires": b"60"}
        claims |= {b"SignedHeaders": b"host", b"Signature": b"0" * 64}
        query += b"".join(b"&X-Amz-%s=%s" % (name, mutator.bend(value)) for name, value in claims.items())
    else:
        given.append((b"authorization", mutator.bend(claim) if mutator.happens(0.5) else claim))
    return path, query, given


def _of_scope(sample: Sample, mutator: Mutator) -> S3Request:
    path, query, given = _raw(sample, mutator)
    scope = {"type": "http", "method": sample.method, "raw_path": path, "query_string": query, "headers": given}
    return request_of_scope(scope, io.BytesIO(sample.body), "")


def _of_environ(sample: Sample, mutator: Mutator) -> S3Request:
    path, query, given = _raw(sample, mutator)
    target = (path + b"?" + query).decode("latin-1")
    environ: dict[str, Any] = {
        "RAW_URI": target,
        "QUERY_STRING": query.decode("latin-1"),
        "CONTENT_LENGTH": str(len(sample.body)),
    }
    for name, value in given:
        environ[f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"] = value.decode("latin-1")
    django = SimpleNamespace(method=sample.method, META=environ, is_secure=lambda: False)
    return request_of_django(django, WsgiBody(io.BytesIO(sample.body), len(sample.body)), "")  # type: ignore[arg-type]


def _chunks(mutator: Mutator, outcome: Outcome) -> None:
    """Read aws-chunked framing, signed or not, altered or not.

    Data read completely must be the data that was framed.
    """
    pieces = [mutator.random.randbytes(mutator.random.randint(1, 300)) for _ in range(mutator.random.randrange(4))]
    context = example_context("0" * 64) if mutator.happens(0.5) else None
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="} if mutator.happens(0.5) else {}
    wire, length = frame(pieces, context=context, trailers=trailers), sum(map(len, pieces))
    bent = mutator.bend(wire) if mutator.happens(0.8) else wire
    announced = length if mutator.happens(0.9) else mutator.random.randint(0, 2 * length)
    body = ChunkedBody(
        SlowBody(bent, mutator.one_of((1, 3, 100, 1 << 20))), announced, context=context, announced_trailers=trailers
    )
    read = b"".join(iter(lambda: body.read(mutator.random.randint(1, 200)), b""))
    outcome.answers["chunks read"] += 1
    if len(read) != announced or (context is not None and read != b"".join(pieces)):
        raise AssertionError(f"{len(read)} bytes were read, which contradicts the framing")
