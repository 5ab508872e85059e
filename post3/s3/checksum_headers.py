"""The checksums that a request names or sends: the `x-amz-checksum-*` headers and trailers."""

from ..checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT, is_valid
from ..errors import InvalidRequest, S3NotImplemented
from .request import S3Request

HEADER_PREFIX = "x-amz-checksum-"
#: Algorithms that AWS supports and post3 does not. They are refused, never ignored.
_NOT_IMPLEMENTED = frozenset({"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"})
_NOT_CHECKSUMS = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})


def header_name(algorithm: str) -> str:
    """Return the name of the header for a checksum: "CRC32" -> "x-amz-checksum-crc32"."""
    return HEADER_PREFIX + algorithm.lower()


def parse_algorithm(value: str, header: str) -> str:
    """Parse an algorithm's name. Raises InvalidRequest, or S3NotImplemented for AWS's algorithms that post3 lacks."""
    algorithm = value.strip().upper()
    if algorithm in ALGORITHMS:
        return algorithm
    if algorithm in _NOT_IMPLEMENTED:
        raise S3NotImplemented(f"The checksum algorithm {algorithm} is not implemented.", Header=header)
    raise InvalidRequest(f"Value for {header} header is invalid.")


def named_algorithm(request: S3Request) -> str:
    """Return x-amz-checksum-algorithm, or "" if it is missing. Raises InvalidRequest (B142), S3NotImplemented."""
    name = "x-amz-checksum-algorithm"
    value = request.header(name)
    if value and value.strip().upper() not in _NOT_IMPLEMENTED | ALGORITHMS.keys():
        listed = ", ".join(sorted(ALGORITHMS))
        raise InvalidRequest(
            f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{listed}]"
        )
    return parse_algorithm(value, name) if value else ""


def parse_type(algorithm: str, value: str | None) -> str:
    """Return the checksum type of a multipart upload: `value`, or the algorithm's default. Raises InvalidRequest."""
    types = ALGORITHMS[algorithm].types
    if not value:
        return types[0]
    asked = value.strip().upper()
    if asked not in (COMPOSITE, FULL_OBJECT):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    if asked not in types:
        raise InvalidRequest(f"The {asked} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.")
    return asked


def trailer_names(request: S3Request) -> tuple[str, ...]:
    """Return the names announced in x-amz-trailer, in lower case."""
    return tuple(name.strip().lower() for name in request.header("x-amz-trailer").split(",") if name.strip())


def requested_checksum(request: S3Request) -> tuple[str, str | None] | None:
    """Return the client's checksum as (algorithm, base64), or None. `base64` is None if it follows in the trailer.

    Only headers count. The JavaScript SDK puts the checksum of an empty body into the query of a presigned PUT, and S3
    ignores it there.
    Source: https://github.com/localstack/localstack/issues/12169, https://github.com/aws/aws-sdk-go-v2/issues/2610

    Raises InvalidRequest for several, malformed or conflicting checksums, S3NotImplemented for AWS's other algorithms.
    """
    headers = [name for name in request.headers if name.startswith(HEADER_PREFIX) and name not in _NOT_CHECKSUMS]
    trailers = trailer_names(request)
    if len(headers) + len(trailers) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    named = request.header("x-amz-sdk-checksum-algorithm")
    named_algorithm = parse_algorithm(named, "x-amz-sdk-checksum-algorithm") if named else ""
    if trailers:
        if not trailers[0].startswith(HEADER_PREFIX) or trailers[0] in _NOT_CHECKSUMS:
            raise InvalidRequest("The value specified in the x-amz-trailer header is not supported")
        algorithm, value = parse_algorithm(trailers[0].removeprefix(HEADER_PREFIX), "x-amz-trailer"), None
    elif headers:
        algorithm = parse_algorithm(headers[0].removeprefix(HEADER_PREFIX), headers[0])
        value = request.headers[headers[0]].strip()
        if not is_valid(algorithm, value):
            raise InvalidRequest(f"Value for {headers[0]} header is invalid.")
    elif named:
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    else:
        return None
    if named and named_algorithm != algorithm:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return algorithm, value
