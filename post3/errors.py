"""S3's errors: one class per error code, named after the code.

The status and the extra XML elements are attributes. `s3/documents.py` writes the XML, and only `api/dispatch.py`
catches these errors. The messages are those of AWS if AWS has the error.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html

Services know no HTTP. If an error names a header or has headers of its own, its class takes plain values and writes
them.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import Any, ClassVar


class Precondition(Enum):
    """A condition of a request, by the header that AWS's errors name."""

    IF_MATCH = "If-Match"
    IF_NONE_MATCH = "If-None-Match"
    IF_MODIFIED_SINCE = "If-Modified-Since"
    IF_UNMODIFIED_SINCE = "If-Unmodified-Since"


class S3Error(Exception):
    """An error response.

    `fields` are extra elements of the error document, given as keyword arguments: `NoSuchBucket(BucketName="x")`.
    `headers` are added to the response. `retry_after`: seconds that the client is asked to wait.
    """

    status: ClassVar[int] = 400
    message: ClassVar[str] = ""

    def __init__(
        self, message: str | None = None, *, headers: dict[str, str] | None = None, retry_after: int | None = None, **fields: Any
    ) -> None:
        super().__init__(message or self.message)
        self.text = message or self.message
        self.headers = headers or {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        self.fields = {name: str(value) for name, value in fields.items() if value is not None}

    def __init_subclass__(cls, *, status: int = 400, message: str = "", code: str = "") -> None:
        cls.status, cls.message, cls.code = status, message, code or cls.__name__

    code: ClassVar[str] = "InternalError"


class AccessDenied(S3Error, status=403, message="Access Denied"): ...


class AccessForbidden(S3Error, status=403, message="CORSResponse: This CORS request is not allowed."): ...


class AuthorizationHeaderMalformed(S3Error, message="The authorization header that you provided is not valid."): ...


class AuthorizationQueryParametersError(
    S3Error, message="The authorization query parameters that you provided are not valid."
): ...


class BadDigest(
    S3Error, message="The Content-MD5 or checksum value that you specified did not match what the server received."
): ...


class BadRequest(S3Error, message="Bad Request"): ...


class BucketAlreadyExists(
    S3Error,
    status=409,
    message="The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
    "Please select a different name and try again.",
): ...


class BucketAlreadyOwnedByYou(
    S3Error, status=409, message="Your previous request to create the named bucket succeeded and you already own it."
): ...


class BucketNotEmpty(S3Error, status=409, message="The bucket you tried to delete is not empty"): ...


class ConditionalRequestConflict(
    S3Error, status=409, message="The conditional request cannot succeed due to a conflicting operation against this resource."
):
    def __init__(self, condition: Precondition, key: str) -> None:
        super().__init__(Condition=condition.value, Key=key)


class EntityTooLarge(S3Error, message="Your proposed upload exceeds the maximum allowed size"): ...


class EntityTooSmall(S3Error, message="Your proposed upload is smaller than the minimum allowed size"): ...


class IllegalLocationConstraintException(
    S3Error,
    message="The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
): ...


class IncompleteBody(S3Error, message="You did not provide the number of bytes specified by the Content-Length HTTP header"): ...


class InsufficientStorage(
    S3Error,
    status=507,
    code="XMinioStorageFull",
    message="The server has no disk space left. Delete objects that are not needed, or give the server more space.",
):
    """The disk is full. AWS has no such error; the code is the one that clients of self-hosted servers know (B120)."""


class InternalError(S3Error, status=500, message="We encountered an internal error. Please try again."): ...


class InvalidAccessKeyId(S3Error, status=403, message="The AWS Access Key Id you provided does not exist in our records."): ...


class InvalidArgument(S3Error, message="Invalid Argument"):
    @classmethod
    def of_copy_range(cls, text: str, size: int) -> "InvalidArgument":
        """Return the error for a range of a copy's source that ends beyond the source."""
        message = f"Range specified is not valid for source object of size: {size}"
        return cls(message, ArgumentName="x-amz-copy-source-range", ArgumentValue=text)


class InvalidBucketName(S3Error, message="The specified bucket is not valid."): ...


class InvalidBucketOwnerAWSAccountID(
    S3Error, message="The value of the expected bucket owner parameter must be an AWS Account ID."
): ...


class InvalidDigest(S3Error, message="The Content-MD5 you specified was invalid."): ...


class InvalidLocationConstraint(S3Error, message="The specified location-constraint is not valid"): ...


class InvalidPart(
    S3Error,
    message="One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
    "entity tag may not match the part's entity tag.",
): ...


class InvalidPartNumber(S3Error, status=416, message="The requested partnumber is not satisfiable"): ...


class InvalidPartOrder(
    S3Error, message="The list of parts was not in ascending order. Parts must be ordered by part number."
): ...


class InvalidRange(S3Error, status=416, message="The requested range is not satisfiable"):
    def __init__(self, text: str, size: int) -> None:
        """`text`: the range as requested. `size`: the size of the object."""
        super().__init__(RangeRequested=text, ActualObjectSize=size, headers={"Content-Range": f"bytes */{size}"})


class InvalidRequest(S3Error, message="Invalid Request"):
    @classmethod
    def of_upload_size(cls, given: int, size: int) -> "InvalidRequest":
        """Return the error for a multipart upload of another size than the client gave."""
        return cls(f"The provided 'x-amz-mp-object-size' header value {given} does not match what was computed: {size}")


class InvalidStorageClass(S3Error, message="The storage class you specified is not valid"): ...


class InvalidToken(S3Error, message="The provided token is malformed or otherwise invalid."): ...


class InvalidURI(S3Error, message="Couldn't parse the specified URI."): ...


class KeyTooLongError(S3Error, message="Your key is too long"): ...


class MalformedTrailerError(
    S3Error,
    message="The request contained trailing data that was not well-formed or did not conform to our published schema.",
): ...


class MalformedXML(
    S3Error, message="The XML you provided was not well-formed or did not validate against our published schema"
): ...


class MaxMessageLengthExceeded(S3Error, message="Your request was too big."): ...


class MetadataTooLarge(S3Error, message="Your metadata headers exceed the maximum allowed metadata size"): ...


class MethodNotAllowed(S3Error, status=405, message="The specified method is not allowed against this resource."): ...


class MissingContentLength(S3Error, status=411, message="You must provide the Content-Length HTTP header."): ...


class MissingSecurityHeader(S3Error, message="Your request was missing a required header."): ...


class NoSuchBucket(S3Error, status=404, message="The specified bucket does not exist"): ...


class NoSuchKey(S3Error, status=404, message="The specified key does not exist."): ...


class NoSuchUpload(
    S3Error,
    status=404,
    message="The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
    "completed.",
): ...


class NoSuchVersion(S3Error, status=404, message="The specified version does not exist."): ...


class NotModified(S3Error, status=304, message="Not Modified"):
    def __init__(self, etag: str, last_modified: datetime) -> None:
        modified = format_datetime(last_modified.astimezone(UTC), usegmt=True)
        super().__init__(headers={"ETag": f'"{etag}"', "Last-Modified": modified})


class OperationAborted(
    S3Error,
    status=409,
    message="A conflicting conditional operation is currently in progress against this resource. Please try again.",
): ...


class PreconditionFailed(S3Error, status=412, message="At least one of the pre-conditions you specified did not hold"):
    def __init__(self, condition: Precondition, *, of_source: bool = False) -> None:
        """`of_source`: the condition is on the source of a copy."""
        super().__init__(Condition=f"x-amz-copy-source-{condition.value}" if of_source else condition.value)
        self.condition = condition


class RequestHeaderSectionTooLarge(S3Error, message="Your request header section exceeds the maximum allowed size."): ...


class RequestTimeTooSkewed(
    S3Error, status=403, message="The difference between the request time and the current time is too large."
): ...


class RequestTimeout(
    S3Error,
    message="Your socket connection to the server was not read from or written to within the timeout period.",
): ...


class S3NotImplemented(
    S3Error,
    status=501,
    code="NotImplemented",
    message="A header you provided implies functionality that is not implemented",
):
    """The code `NotImplemented`. The class name differs because `NotImplemented` is a Python built-in."""

    @classmethod
    def of_value(cls, condition: Precondition) -> "S3NotImplemented":
        """Return the error for a value of a condition that S3 does not support on writes."""
        text = f"We don't accept the provided value of {condition.value} header for this API"
        return cls(Header=condition.value, additionalMessage=text)

    @classmethod
    def of_both(cls, *conditions: Precondition) -> "S3NotImplemented":
        """Return the error for conditions that S3 does not support together."""
        names = ",".join(condition.value for condition in conditions)
        return cls(Header=names, additionalMessage="Multiple conditional request headers present in the request")

    @classmethod
    def of_storage_class(cls, storage_class: str) -> "S3NotImplemented":
        """Return the error for a storage class of AWS without a storage."""
        message = f"The storage class {storage_class} is not implemented: POST3_STORAGES has no storage for it."
        return cls(message, Header="x-amz-storage-class")


class ServiceUnavailable(S3Error, status=503, message="Service is unable to handle request."): ...


class SignatureDoesNotMatch(
    S3Error,
    status=403,
    message="The request signature we calculated does not match the signature you provided. Check your key and signing method.",
): ...


class SlowDown(S3Error, status=503, message="Please reduce your request rate."): ...


class TooManyBuckets(S3Error, message="You have attempted to create more buckets than allowed"): ...


class UnsupportedSignature(
    S3Error,
    code="InvalidRequest",
    message="The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
):
    """A signature version that is no longer supported. AWS returns `InvalidRequest`."""


class XAmzContentSHA256Mismatch(
    S3Error, message="The provided 'x-amz-content-sha256' header does not match what was computed."
): ...
