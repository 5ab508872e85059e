"""Nearly valid inputs: generated from requests of S3 clients, then altered. Everything follows from a seed.

This is used instead of hypothesis or atheris (D45), because a case is just a number, and a request of ten lines does
not need shrinking.
"""

import random
import re
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

#: Bytes with a meaning somewhere: separators of all grammars used here, ends of ranges, invalid UTF-8, non-ASCII,
#: non-text.
SPICE = (
    b"\x00 \r \n \r\n \t % %00 %2F %zz %C3 %ff %2e%2e .. . / // & = == ; , : ? # + \" ' < > &amp; * ~ - -0 "
    b"\xff \xc3\x28 \xed\xa0\x80 \xf0\x9f\x98\x80 \xe2\x80\xa8 \xef\xbb\xbf \xc2\xb2 \xd9\xa3 \xe0\xa5\xa7"
).split(b" ")
NUMBERS = (
    b"0 1 -1 00 0x10 1e3 1_0 +5 255 256 1000 1001 9999 10000 10001 65535 65536 2147483647 2147483648 4294967296 "
    b"9223372036854775807 9223372036854775808 18446744073709551616 99999999999999999999999 7fffffff ffffffff ffffffffffffffff "
    b"10000000000000000 NaN"
).split()
WORDS = (
    *(
        b"AWS4-HMAC-SHA256 UNSIGNED-PAYLOAD STREAMING-UNSIGNED-PAYLOAD-TRAILER STREAMING-AWS4-HMAC-SHA256-PAYLOAD aws-chunked "
        b"gzip chunked identity bytes= bytes=0- bytes=-1 null true True CRC32 CRC32C CRC64NVME SHA1 SHA256 MD5 COMPOSITE "
        b"FULL_OBJECT url private REPLACE COPY STANDARD GLACIER 100-continue 20991231T235959Z 20130524T000000Z 20130230T000000Z "
        b"=?utf-8?q?a?= =?utf-8?b?////?= =?x?q?a?= =?utf-8?q?=0D=0A?="
    ).split(),
    b"Thu, 01 Jan 1970 00:00:00 GMT",
    b"Mon, 31 Feb 9999 99:99:99 +9999",
    b"Sat, 01 Jan 0001 00:00:00 +2359",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"Thu Jan  1 00:00:00 1970",
    b"1 Jan 70 0:0 -0000",
)


class Mutator:
    """Makes random choices and alterations from one random source."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def one_of(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    def happens(self, chance: float) -> bool:
        return self.random.random() < chance

    def spice(self) -> bytes:
        """Return bytes with a special meaning somewhere, or a few without."""
        kind = self.random.random()
        if kind < 0.35:
            return self.one_of(SPICE)
        if kind < 0.6:
            return self.one_of(NUMBERS)
        if kind < 0.8:
            return self.one_of(WORDS)
        if kind < 0.97:
            return self.random.randbytes(self.random.randint(1, 4))
        return self.one_of(SPICE) * self.one_of((50, 300, 5000))

    def bend(self, data: bytes) -> bytes:
        """Return the data with one to four small changes."""
        for _ in range(self.one_of((1, 1, 1, 2, 2, 4))):
            data = self._bend_once(data)
        return data

    def _bend_once(self, data: bytes) -> bytes:
        start = self.random.randint(0, len(data))
        end = min(len(data), start + self.one_of((0, 1, 1, 2, 8, 64)))
        piece = data[start:end]
        kind = self.random.randrange(10)
        if kind < 2 and (numbers := list(re.finditer(rb"[0-9]+", data))):  # replace a number by another
            found = self.one_of(numbers)
            # 5,000 digits are more than Python's int accepts in a string.
            number = self.one_of(NUMBERS) if self.happens(0.9) else b"9" * 5000
            return data[: found.start()] + number + data[found.end() :]
        if kind == 2:  # flip a bit
            if not data:
                return self.spice()
            place = self.random.randrange(len(data))
            return data[:place] + bytes([data[place] ^ (1 << self.random.randrange(8))]) + data[place + 1 :]
        if kind == 3:
            return data[:start] + data[end:]
        if kind == 4:
            return data[:start] + piece * self.one_of((2, 3, 30)) + data[end:]
        if kind == 5:
            return data[:start]
        if kind == 6:  # exchange two places
            return data[:start] + data[end : end + 8] + piece + data[end + 8 :]
        if kind == 7:
            return data.swapcase()
        return data[:start] + self.spice() + data[end:]
