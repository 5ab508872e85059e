"""Helpers shared by the tests of multipart uploads and copies."""

import base64
import hashlib
import random
import zlib
from typing import Any

from awscrt import checksums

MIB = 1 << 20
#: The smallest size of a part that is not the last.
LEAST = 5 * MIB

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def made_bytes(size: int, seed: int = 0) -> bytes:
    """Return bytes that look random and are always the same for a seed."""
    return random.Random(seed).randbytes(size)


#: Two parts, each large enough not to be the last.
FIRST, SECOND = made_bytes(LEAST, 1), made_bytes(LEAST + 3, 2)


def begin(s3: Any, bucket: str, key: str, **arguments: Any) -> str:
    """Start an upload and return its ID."""
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **arguments)["UploadId"]


def send(s3: Any, bucket: str, key: str, upload_id: str, parts: dict[int, bytes], **arguments: Any) -> list[dict[str, Any]]:
    """Upload parts by number. Return the list of parts for CompleteMultipartUpload.

    The list contains checksums if `ChecksumAlgorithm` names one. The upload must have named the same one, otherwise S3
    refuses the parts (B142).
    """
    sent = []
    name = f"Checksum{arguments['ChecksumAlgorithm']}" if "ChecksumAlgorithm" in arguments else ""
    for number, data in parts.items():
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **arguments)
        sent.append({"PartNumber": number, "ETag": answer["ETag"]} | ({name: answer[name]} if name else {}))
    return sent


def complete(s3: Any, bucket: str, key: str, upload_id: str, parts: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **arguments)


def upload(s3: Any, bucket: str, key: str, parts: dict[int, bytes], **arguments: Any) -> dict[str, Any]:
    """Upload an object in parts. Return the response to CompleteMultipartUpload."""
    upload_id = begin(s3, bucket, key, **arguments)
    named = {"ChecksumAlgorithm": arguments["ChecksumAlgorithm"]} if "ChecksumAlgorithm" in arguments else {}
    return complete(s3, bucket, key, upload_id, send(s3, bucket, key, upload_id, parts, **named))


def etag_of(*parts: bytes) -> str:
    """Return the quoted ETag of an object of these parts (B083)."""
    return f'"{hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()}-{len(parts)}"'


def md5_of(data: bytes) -> str:
    """Return the quoted ETag of an object uploaded in one PUT."""
    return f'"{hashlib.md5(data).hexdigest()}"'


def digest(algorithm: str, data: bytes) -> bytes:
    """Return an S3 checksum as raw bytes, computed by libraries."""
    if algorithm.startswith("SHA"):
        return hashlib.new(algorithm.lower(), data).digest()
    if algorithm == "CRC64NVME":
        return checksums.crc64nvme(data).to_bytes(8, "big")
    return (zlib.crc32(data) if algorithm == "CRC32" else checksums.crc32c(data)).to_bytes(4, "big")


def checksum(algorithm: str, data: bytes) -> str:
    return base64.b64encode(digest(algorithm, data)).decode()


def composite(algorithm: str, *parts: bytes) -> str:
    """Return the COMPOSITE checksum of an object of these parts (B062)."""
    return f"{checksum(algorithm, b''.join(digest(algorithm, part) for part in parts))}-{len(parts)}"


def read(s3: Any, bucket: str, key: str, **arguments: Any) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


def document(*parts: tuple[int, str]) -> bytes:
    """Return a CompleteMultipartUpload body for parts with these numbers and ETags."""
    inner = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</CompleteMultipartUpload>'.encode()
