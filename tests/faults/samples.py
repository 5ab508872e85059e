"""Requests of every operation as clients send them, with zero or more alterations, for parsers and servers."""

import hashlib
import zlib
from base64 import b64encode
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from .mutations import Mutator
from .structures import bend_structure

BODY = b"The body of an object, not long. " * 40
ETAG = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
CRC = b64encode(zlib.crc32(BODY).to_bytes(4, "big"))
KEYS = (b"a", b"b/c", b"d e+f", "ü/ø".encode(), b"..", b"k" * 200)
DATE = b"Thu, 01 Jan 2026 00:00:00 GMT"

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A request before encoding and signing. Query and headers are (name, value); nothing is percent-encoded."""

    method: str
    bucket: bytes = b"fuzz"
    key: bytes = b""
    query: Pairs = ()
    headers: Pairs = ()
    body: bytes = b""
    #: The framing of the body: "", "unsigned" or "signed" aws-chunked, or HTTP's "chunked".
    framing: str = ""
    #: Trailers of the framing.
    trailers: Pairs = field(default=())
    #: True for a presigned URL, from whose query the server reads headers.
    presigned: bool = False


def _xml(root: bytes, *children: bytes) -> bytes:
    return b'<?xml version="1.0"?><%s xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s</%s>' % (root, b"".join(children), root)


def _deletion(*keys: bytes) -> tuple[bytes, Pairs]:
    body = _xml(b"Delete", *(b"<Object><Key>%s</Key></Object>" % key for key in keys), b"<Quiet>true</Quiet>")
    return body, ((b"content-md5", b64encode(hashlib.md5(body, usedforsecurity=False).digest())),)


_PART = (
    b"<Part><PartNumber>%d</PartNumber><ETag>&quot;"
    + ETAG.encode()
    + b"&quot;</ETag><ChecksumCRC32>"
    + CRC
    + b"</ChecksumCRC32></Part>"
)
_COMPLETION = _xml(b"CompleteMultipartUpload", _PART % 1, _PART % 2)
_CONFIGURATION = _xml(b"CreateBucketConfiguration", b"<LocationConstraint>eu-west-1</LocationConstraint>")
_DELETION, _DIGEST = _deletion(b"zzz", b"&#252;", b"no")
_META = ((b"content-type", b"text/plain"), (b"x-amz-meta-a", b"=?utf-8?q?=C3=BC?="), (b"cache-control", b"no-store"))
_IF = ((b"if-match", b'"%s"' % ETAG.encode()), (b"if-unmodified-since", DATE))
_SOURCE = ((b"x-amz-copy-source", b"/fuzz/a"), (b"x-amz-copy-source-if-match", ETAG.encode()))
_CRC_HEADER = ((b"x-amz-checksum-crc32", CRC), (b"x-amz-sdk-checksum-algorithm", b"CRC32"))
_MARKERS = ((b"prefix", b"b"), (b"delimiter", b"/"), (b"max-keys", b"3"), (b"encoding-type", b"url"))

#: Ways to end a header line within a name or value, or to spell characters that neither allows.
_SPLITS = (
    b"\r\nSet-Cookie: a=b",
    b"\nx: y",
    b"\r",
    b": z\r\n\r\nbody",
    b"\x00",
    b"\t",
    b"\x7f",
    b"\xc2\x85",
    b" ",
    b"\xe2\x80\xa8",
    b"(),",
)
#: Header names used by clients, proxies and other servers: known, unknown, missing and dangerous.
HEADER_NAMES = (
    b"x-amz-acl x-amz-api-version x-amz-bucket-object-lock-enabled x-amz-bypass-governance-retention x-amz-checksum-sha512 "
    b"x-amz-copy-source-server-side-encryption-customer-key x-amz-expected-bucket-owner x-amz-grant-read x-amz-mfa "
    b"x-amz-object-lock-mode x-amz-object-ownership x-amz-optional-object-attributes x-amz-request-payer x-amz-security-token "
    b"x-amz-server-side-encryption x-amz-server-side-encryption-customer-algorithm x-amz-source-expected-bucket-owner "
    b"x-amz-storage-class x-amz-tagging x-amz-website-redirect-location x-amz-write-offset-bytes x-amz- x-amz-meta- "
    b"x-amz-meta-a_b "
    b"connection content-length content-type cookie expect forwarded host if-range keep-alive origin proxy-connection te trailer "
    b"transfer-encoding upgrade via x-forwarded-for x-forwarded-host x-forwarded-proto x-http-method-override x-real-ip"
).split()
#: Query parameter names of S3 and of this server's other pages.
QUERY_NAMES = (
    b"acl attributes continuation-token cors delete delimiter encoding-type fetch-owner key-marker legal-hold lifecycle "
    b"list-type location marker max-keys object-lock partNumber policy prefix response-cache-control response-content-type "
    b"restore retention select select-type start-after tagging torrent uploadId uploads version-id-marker versionId "
    b"versioning versions website x-id "
    b"X-Amz-Algorithm X-Amz-Credential X-Amz-Date X-Amz-Expires X-Amz-Security-Token X-Amz-Signature X-Amz-SignedHeaders "
    b"AWSAccessKeyId Signature Expires x-amz-acl x-amz-copy-source x-amz-meta-a x-amz-storage-class x-amz-tagging"
).split()

#: A placeholder, which senders replace by the ID of an existing upload.
UPLOAD = b"<the upload>"
SEEDS: tuple[Sample, ...] = (
    Sample("GET", b""),
    Sample("GET", b"", query=((b"max-buckets", b"3"), (b"prefix", b"f"), (b"bucket-region", b"us-east-1"))),
    Sample("PUT", b"fuzz-2", body=_CONFIGURATION),
    Sample("PUT", b"fuzz"),
    Sample("HEAD"),
    Sample("DELETE", b"fuzz-2"),
    Sample("GET", query=((b"location", b""),)),
    Sample("GET", query=((*_MARKERS, (b"marker", b"a")))),
    Sample("GET", query=((b"list-type", b"2"), *_MARKERS, (b"start-after", b"a"), (b"fetch-owner", b"true"))),
    Sample("GET", query=((b"list-type", b"2"), (b"continuation-token", b64encode(b"1a")))),
    Sample("GET", query=((b"uploads", b""), (b"key-marker", b"a"), (b"upload-id-marker", UPLOAD), (b"max-uploads", b"2"))),
    Sample("POST", query=((b"delete", b""),), headers=_DIGEST, body=_DELETION),
    Sample("PUT", key=b"a", headers=_META, body=BODY),
    Sample("PUT", key=b"a", headers=((b"content-md5", b64encode(bytes.fromhex(ETAG))), (b"if-none-match", b"*")), body=BODY),
    Sample("PUT", key=b"a", headers=_CRC_HEADER, body=BODY),
    Sample("PUT", key=b"a", body=BODY, framing="chunked"),
    Sample("PUT", key=b"a", body=BODY, framing="signed"),
    Sample("PUT", key=b"a", headers=_META, body=BODY, framing="signed", trailers=((b"x-amz-checksum-crc32", CRC),)),
    Sample("PUT", key=b"a", body=BODY, framing="unsigned", trailers=((b"x-amz-checksum-crc32", CRC),)),
    Sample("GET", key=b"a", headers=((b"range", b"bytes=10-200"), *_IF)),
    Sample("GET", key=b"a", headers=((b"range", b"bytes=-20"), (b"if-range", DATE), (b"x-amz-checksum-mode", b"ENABLED"))),
    Sample("GET", key=b"a", query=((b"partNumber", b"1"), (b"response-content-type", b"a/b"), (b"versionId", b"null"))),
    Sample("GET", key=b"a", query=((b"response-expires", DATE), (b"response-content-disposition", b'attachment; filename="a"'))),
    Sample("HEAD", key=b"a", headers=((b"if-none-match", b'"x", "y"'), (b"if-modified-since", DATE))),
    Sample("DELETE", key=b"b/c", headers=((b"if-match", b"*"),)),
    Sample("PUT", key=b"b/c", headers=_SOURCE),
    Sample("PUT", key=b"b/c", headers=(*_SOURCE[:1], (b"x-amz-metadata-directive", b"REPLACE"), *_META)),
    Sample("POST", key=b"m", query=((b"uploads", b""),), headers=((b"x-amz-checksum-algorithm", b"CRC32"), *_META)),
    Sample("PUT", key=b"m", query=((b"partNumber", b"1"), (b"uploadId", UPLOAD)), headers=_CRC_HEADER, body=BODY),
    Sample("PUT", key=b"m", query=((b"partNumber", b"2"), (b"uploadId", UPLOAD)), body=BODY, framing="signed"),
    Sample(
        "PUT",
        key=b"m",
        query=((b"partNumber", b"2"), (b"uploadId", UPLOAD)),
        headers=(*_SOURCE, (b"x-amz-copy-source-range", b"bytes=0-9")),
    ),
    Sample("GET", key=b"m", query=((b"uploadId", UPLOAD), (b"max-parts", b"1"), (b"part-number-marker", b"1"))),
    Sample(
        "POST",
        key=b"m",
        query=((b"uploadId", UPLOAD),),
        headers=((b"x-amz-checksum-type", b"COMPOSITE"), (b"x-amz-mp-object-size", b"%d" % (2 * len(BODY)))),
        body=_COMPLETION,
    ),
    Sample("DELETE", key=b"m", query=((b"uploadId", b"no-such-upload"),)),
    # The query parameters of a presigned URL are adopted as headers.
    Sample("PUT", key=b"a", query=((b"x-amz-meta-a", b"b"), (b"x-amz-acl", b"private")), body=BODY, presigned=True),
    Sample("GET", key=b"a", query=((b"response-content-disposition", b"attachment"),), presigned=True),
    Sample("POST", key=b"m", query=((b"uploads", b""), (b"x-amz-meta-a", b"b")), presigned=True),
)
METHODS = ("GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "M-SEARCH")


def target_of(sample: Sample) -> tuple[str, str]:
    """Return path and query as a client encodes them."""
    path = f"/{quote(sample.bucket, safe='')}"
    if sample.key:
        path += f"/{quote(sample.key, safe='/')}"
    return path, "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sample.query)


def make(mutator: Mutator) -> Sample:
    """Return a seed with no, one or several alterations."""
    sample = mutator.one_of(SEEDS)
    for _ in range(mutator.one_of((0, 1, 1, 1, 1, 2, 3))):
        sample = _bent(sample, mutator)
    return sample


def _bent(sample: Sample, mutator: Mutator) -> Sample:
    kind = mutator.random.randrange(14)
    if kind == 0:
        return replace(sample, method=mutator.one_of(METHODS))
    if kind == 1:
        return replace(sample, bucket=mutator.bend(sample.bucket))
    if kind == 2:
        return replace(sample, key=mutator.bend(sample.key) if mutator.happens(0.7) else mutator.one_of(KEYS))
    if kind in (3, 4):
        return replace(sample, query=_bent_pairs(sample.query, mutator, "query"))
    if kind in (5, 6, 7):
        return replace(sample, headers=_bent_pairs(sample.headers, mutator, "headers"))
    if kind == 8:
        return replace(sample, framing=mutator.one_of(("", "unsigned", "signed", "chunked")))
    if kind == 9:
        return replace(sample, trailers=_bent_pairs(sample.trailers, mutator, "headers"))
    if kind in (10, 11) and sample.body.startswith(b"<?xml"):
        return replace(sample, body=bend_structure(sample.body, mutator))
    if kind == 12:
        return replace(sample, presigned=not sample.presigned)
    return replace(sample, body=mutator.bend(sample.body))


def _bent_pairs(pairs: Pairs, mutator: Mutator, of: str) -> Pairs:
    """Alter a value or a name, or add, remove or repeat a pair."""
    changed = list(pairs)
    kind = mutator.random.randrange(8)
    if kind == 6:
        names = HEADER_NAMES if of == "headers" else QUERY_NAMES + HEADER_NAMES
        changed.append((mutator.one_of(names), mutator.one_of((b"", b"true", b"1", mutator.spice()))))
        return tuple(changed)
    if kind == 7:
        name, value = mutator.one_of(changed or [(b"x-amz-meta-a", b"b")])
        split = mutator.one_of(_SPLITS)
        changed.append((name + split, value) if mutator.happens(0.6) else (name, value + split))
        return tuple(changed)
    if not changed or kind == 0:  # a pair of another operation
        others = [pair for seed in SEEDS for pair in getattr(seed, of)]
        changed.insert(mutator.random.randint(0, len(changed)), mutator.one_of(others))
        return tuple(changed)
    place = mutator.random.randrange(len(changed))
    name, value = changed[place]
    if kind == 1:
        del changed[place]
    elif kind == 2:
        changed.append((name, mutator.bend(value)))
    elif kind == 3:
        changed[place] = (mutator.bend(name), value)
    elif kind == 4:
        changed[place] = (name, mutator.spice())
    else:
        changed[place] = (name, mutator.bend(value))
    return tuple(changed)
