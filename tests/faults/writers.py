"""Writers: each performs one operation after the other on its own keys, and records the responses in the journal."""

import random
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.etree import ElementTree

from ..raw import RawClient, RawResponse
from .journal import ABSENT, Content, Journal, new_content

KIB, MIB = 1 << 10, 1 << 20
BUCKET = "faults"
KEYS = 16
PART_SIZE = 192 * KIB
#: Empty, small, more than one block, more than a server buffers.
SIZES = (0, 1, 4 * KIB, 4 * KIB, 4 * KIB, 100 * KIB, MIB + 1, 3 * MIB)
#: Seconds to wait after an operation without a response.
PAUSE = 0.02


class Unreachable(Exception):
    """The server cannot be reached. The operation was not executed."""


class Unanswered(Exception):
    """The server closed the connection or reported a failure. The operation may or may not have been executed."""


def ask(client: RawClient, method: str, key: str, query: str = "", body: bytes = b"", **headers: str) -> RawResponse:
    """Send a request to the bucket; header names have underscores for hyphens. Raises Unanswered, Unreachable."""
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    try:
        # Hashing the body would cost more than everything else.
        answer = client.send(method, f"/{BUCKET}{key and '/'}{key}", query, given, body, payload_hash="UNSIGNED-PAYLOAD")
    except TimeoutError:
        raise  # the server hangs, since no process died unnoticed
    except ConnectionRefusedError:
        raise Unreachable from None
    except (OSError, ValueError, IndexError) as error:  # ValueError and IndexError: an interrupted head
        raise Unanswered(f"{type(error).__name__}: {error}") from None
    assert answer is not None
    if answer.status >= 500:
        raise Unanswered(f"{answer.status} {answer.body[:300]!r}")
    return answer


def etag_of(answer: RawResponse) -> str:
    return answer.headers.get("etag", "").strip('"')


@dataclass(slots=True)
class Upload:
    """A multipart upload that continues after a crash, with its acknowledged parts."""

    key: str
    upload_id: str
    content: Content
    etags: list[str] = field(default_factory=list)
    completing: bool = False


class Writer:
    """A writer. `run` returns when `stopped` is set, even in the middle of a multipart upload."""

    def __init__(self, number: int, client: RawClient, journal: Journal, seed: int) -> None:
        self.client, self.journal, self.chosen = client, journal, random.Random(seed * 1000 + number)
        self.keys = [f"w{number}/{name}" for name in ["a b+c", "ä/ö", *(f"key-{index}" for index in range(KEYS - 2))]]
        self.prefix, self.count, self.upload = f"w{number}", 0, None
        #: True while server and database are running, so that each operation must get a response.
        self.must_be_answered = False
        self.failure: BaseException | None = None

    def run(self, stopped: threading.Event) -> None:
        operations = (
            [self.put] * 5
            + [self.put_new] * 2
            + [self.delete, self.copy, self.put_if_absent, self.put_if_match] * 2
            + [self.start_upload, self.read]
        )
        try:
            while not stopped.is_set():
                try:
                    if self.upload is not None:
                        self.go_on_with(self.upload)
                    else:
                        self.chosen.choice(operations)()
                except (Unanswered, Unreachable) as error:
                    if self.must_be_answered:
                        self.journal.violate("wrong", self.prefix, f"no response, although only the worker was killed: {error}")
                    time.sleep(PAUSE)
        except BaseException as error:
            self.failure = error
            raise

    def put(self, key: str = "", allowed: tuple[int, ...] = (), **headers: str) -> None:
        key = key or self.key()
        content = self.content()
        try:
            answer = ask(self.client, "PUT", quote(key), body=content.body(), **headers)
        except Unanswered:
            self.journal.doubt(key, content)
            raise
        if answer.status == 200:
            if etag_of(answer) != content.etag:
                self.journal.violate("wrong", key, f"PUT of {content} answered ETag {etag_of(answer)}")
            self.journal.acknowledge(key, content)
        elif answer.status not in allowed:
            self.refused(key, answer)

    def put_new(self) -> None:
        """Write a key that is never written again."""
        self.count += 1
        self.put(f"{self.prefix}/new-{self.count}")

    def put_if_absent(self) -> None:
        key = self.key()
        if not self.journal.certain(key):
            return self.read(key)
        before = self.journal.of(key)
        if before == {ABSENT}:
            return self.put(key, If_None_Match="*")
        answer = ask(self.client, "PUT", quote(key), body=b"must not be stored", If_None_Match="*")
        if answer.status != 412:
            self.journal.violate("wrong", key, f"PUT If-None-Match: * over {before} was answered {answer.status}")

    def put_if_match(self) -> None:
        key = self.key()
        (before,) = self.journal.of(key) if self.journal.certain(key) else (ABSENT,)
        if before is not ABSENT:
            self.put(key, If_Match=f'"{before.etag}"')

    def delete(self) -> None:
        key = self.key()
        try:
            answer = ask(self.client, "DELETE", quote(key))
        except Unanswered:
            self.journal.doubt(key, ABSENT)
            raise
        if answer.status == 204:
            self.journal.acknowledge(key, ABSENT)
        else:
            self.refused(key, answer)

    def copy(self) -> None:
        source, key = self.key(), self.key()
        if source == key or not self.journal.certain(source):
            return
        (content,) = self.journal.of(source)
        try:
            answer = ask(self.client, "PUT", quote(key), x_amz_copy_source=f"/{BUCKET}/{quote(source)}")
        except Unanswered:
            if content is not ABSENT:
                self.journal.doubt(key, content)
            raise
        if answer.status == 200 and content is not ABSENT:
            self.journal.acknowledge(key, content)
        elif answer.status != 404 or content is not ABSENT:
            self.refused(key, answer)

    def read(self, key: str = "") -> None:
        observe(self.client, self.journal, key or self.key())

    def start_upload(self) -> None:
        key, content = self.key(), self.content(PART_SIZE * self.chosen.randint(1, 3) - 7, PART_SIZE)
        answer = ask(self.client, "POST", quote(key), "uploads")
        upload_id = ElementTree.fromstring(answer.body).findtext("{*}UploadId")
        assert upload_id, answer
        self.upload = Upload(key, upload_id, content)

    def go_on_with(self, upload: Upload) -> None:
        """Upload the next part, or complete. Parts acknowledged before a crash must still exist after it."""
        start = len(upload.etags) * PART_SIZE
        if start < upload.content.size:
            part = upload.content.body()[start : start + PART_SIZE]
            query = f"partNumber={len(upload.etags) + 1}&uploadId={upload.upload_id}"
            answer = ask(self.client, "PUT", quote(upload.key), query, part)
            if answer.status == 200:
                upload.etags.append(etag_of(answer))
                return
        else:
            parts = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
                for number, etag in enumerate(upload.etags, 1)
            )
            document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
            try:
                answer = ask(self.client, "POST", quote(upload.key), f"uploadId={upload.upload_id}", document)
            except Unanswered:
                self.journal.doubt(upload.key, upload.content)
                raise
            if answer.status == 200 and upload.content.etag.encode() in answer.body:
                self.journal.acknowledge(upload.key, upload.content)
                self.upload = None
                return
            if answer.status == 200 and b"<Error>" in answer.body and b"InternalError" in answer.body:
                self.journal.doubt(upload.key, upload.content)
                raise Unanswered(answer.body.decode())
        self.refused(upload.key, answer)
        self.upload = None

    def refused(self, key: str, answer: RawResponse) -> None:
        self.journal.violate("wrong", key, f"unexpected response {answer.status} {answer.body[:300]!r} in {self.journal.of(key)}")

    def key(self) -> str:
        return self.chosen.choice(self.keys)

    def content(self, size: int = -1, part_size: int = 0) -> Content:
        content = new_content(
            self.chosen.getrandbits(60), size if size >= 0 else self.chosen.choice(SIZES) + self.chosen.randint(0, 99), part_size
        )
        self.journal.sending(content)
        return content


def observe(client: RawClient, journal: Journal, key: str) -> None:
    """GET a key and record the result. Raises Unanswered, Unreachable."""
    answer = ask(client, "GET", quote(key))
    if answer.status == 200:
        journal.observe(key, answer.body, etag_of(answer))
    elif answer.status == 404:
        journal.observe(key, None)
    else:
        journal.violate("wrong", key, f"GET was answered {answer.status} {answer.body[:300]!r}")
