"""The checksum algorithms, and which of them a request asks for."""

import base64
import hashlib

import pytest

from post3.checksums import ALGORITHMS, composite, full_object, new_hasher
from post3.errors import InvalidRequest, S3NotImplemented
from post3.s3.checksum_headers import header_name, parse_type, requested_checksum

from .signing import make_request

DATA = b"123456789"
#: Check values from the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/), and FIPS digests by hashlib.
EXPECTED = {
    "CRC32": bytes.fromhex("cbf43926"),
    "CRC32C": bytes.fromhex("e3069283"),
    "CRC64NVME": bytes.fromhex("ae8b14860a799888"),
    "SHA1": hashlib.sha1(DATA).digest(),
    "SHA256": hashlib.sha256(DATA).digest(),
}


def of(algorithm: str, data: bytes) -> str:
    hasher = new_hasher(algorithm)
    hasher.update(data)
    return hasher.base64()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hasher_gives_published_check_value_in_pieces_too(algorithm: str) -> None:
    hasher = new_hasher(algorithm)
    for at in range(len(DATA)):
        hasher.update(DATA[at : at + 1])
    assert hasher.digest() == EXPECTED[algorithm]
    assert hasher.base64() == base64.b64encode(EXPECTED[algorithm]).decode()
    assert len(EXPECTED[algorithm]) == ALGORITHMS[algorithm].size


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
@pytest.mark.parametrize("sizes", [(9,), (1, 8), (5, 0, 4), (1,) * 9, (0,), ()])
def test_full_object_equals_checksum_of_whole(algorithm: str, sizes: tuple[int, ...]) -> None:
    parts, at = [], 0
    for size in sizes:
        parts.append((of(algorithm, DATA[at : at + size]), size))
        at += size
    assert full_object(algorithm, parts) == of(algorithm, DATA[:at])


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_full_object_of_digest_is_impossible(algorithm: str) -> None:
    with pytest.raises(ValueError):
        full_object(algorithm, [(of(algorithm, DATA), 9)])


def test_composite_is_checksum_of_digests_and_number_of_parts() -> None:
    digests = hashlib.sha256(b"a").digest() + hashlib.sha256(b"b").digest()
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert composite("SHA256", [of("SHA256", b"a"), of("SHA256", b"b")]) == expected


def test_type_of_multipart_checksum() -> None:
    assert [parse_type(name, None) for name in ("CRC32", "CRC32C", "SHA1", "SHA256")] == ["COMPOSITE"] * 4
    assert parse_type("CRC64NVME", "") == "FULL_OBJECT" == parse_type("CRC32", "full_object")
    for algorithm, asked in (("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "HALF")):
        with pytest.raises(InvalidRequest):
            parse_type(algorithm, asked)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_header_is_read(algorithm: str) -> None:
    value = of(algorithm, DATA)
    assert requested_checksum(make_request("PUT", "/b/k", "", {header_name(algorithm): value})) == (algorithm, value)
    headers = {header_name(algorithm): value, "x-amz-sdk-checksum-algorithm": algorithm}
    assert requested_checksum(make_request("PUT", "/b/k", "", headers)) == (algorithm, value)
    headers = {"x-amz-trailer": header_name(algorithm), "x-amz-sdk-checksum-algorithm": algorithm.lower()}
    assert requested_checksum(make_request("PUT", "/b/k", "", headers)) == (algorithm, None)


def test_request_without_checksum_asks_for_none() -> None:
    headers = {"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-type": "COMPOSITE", "x-amz-checksum-algorithm": "CRC32"}
    assert requested_checksum(make_request("PUT", "/b/k", "", headers)) is None


CRC32 = of("CRC32", DATA)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"x-amz-checksum-crc32": "x"}, "Value for x-amz-checksum-crc32 header is invalid."),
        ({"x-amz-checksum-crc32": ""}, "Value for x-amz-checksum-crc32 header is invalid."),
        ({"x-amz-checksum-crc32": "AAAAAAA="}, "Value for x-amz-checksum-crc32 header is invalid."),
        ({"x-amz-checksum-crc32": f"{CRC32},{CRC32}"}, "Value for x-amz-checksum-crc32 header is invalid."),
        ({"x-amz-checksum-sha256": CRC32}, "Value for x-amz-checksum-sha256 header is invalid."),
        ({"x-amz-checksum-foo": CRC32}, "Value for x-amz-checksum-foo header is invalid."),
        ({"x-amz-checksum-crc32": CRC32, "x-amz-checksum-crc32c": CRC32}, "Multiple checksum Types are not allowed."),
        ({"x-amz-checksum-crc32": CRC32, "x-amz-trailer": "x-amz-checksum-crc32"}, "Multiple checksum Types"),
        ({"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"}, "Multiple checksum Types"),
        ({"x-amz-trailer": "x-amz-meta-a"}, "The value specified in the x-amz-trailer header is not supported"),
        ({"x-amz-trailer": "x-amz-checksum-type"}, "The value specified in the x-amz-trailer header is not supported"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "no corresponding x-amz-checksum-* or x-amz-trailer headers were found"),
        (
            {"x-amz-sdk-checksum-algorithm": "FOO", "x-amz-checksum-crc32": CRC32},
            "x-amz-sdk-checksum-algorithm header is invalid",
        ),
        (
            {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC32},
            "x-amz-sdk-checksum-algorithm header is invalid",
        ),
    ],
)
def test_malformed_checksum_request_is_refused(headers: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        requested_checksum(make_request("PUT", "/b/k", "", headers))
    assert text in raised.value.text


@pytest.mark.parametrize("algorithm", ["sha512", "md5", "xxhash64", "xxhash3", "xxhash128"])
def test_checksum_algorithm_we_lack_is_not_implemented(algorithm: str) -> None:
    for headers in ({f"x-amz-checksum-{algorithm}": "AAAA"}, {"x-amz-trailer": f"x-amz-checksum-{algorithm}"}):
        with pytest.raises(S3NotImplemented):
            requested_checksum(make_request("PUT", "/b/k", "", headers))
