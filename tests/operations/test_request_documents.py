"""XML sent by clients is read as a stream, with limits, for every operation. No document causes a server error."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ..helpers import keys_of, refusal_of
from ..raw import RawClient, RawResponse
from ..servers import Server
from .multipart import begin, document, send

#: Bytes of memory the server may keep. This is the cost of a dozen requests of 8 MiB held whole, and no more.
KEPT = 160 << 20
MIB = 1 << 20
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Send = Callable[[bytes], RawResponse]


class Target:
    """An operation that reads XML: its root element, a repeatable element within it, and how to send a body."""

    def __init__(self, root: str, item: str, send: Send, accepted: bytes) -> None:
        self.root, self.item, self.send, self.accepted = root, item, send, accepted

    def wrapped(self, inner: bytes) -> bytes:
        return f"<{self.root}>".encode() + inner + f"</{self.root}>".encode()


@pytest.fixture(params=["CreateBucket", "DeleteObjects", "CompleteMultipartUpload"])
def target(request: pytest.FixtureRequest, s3: Any, raw: RawClient, bucket: str) -> Iterator[Target]:
    name = f"made-{uuid4().hex[:16]}"

    def answer(response: RawResponse | None) -> RawResponse:
        assert response is not None
        return response

    def delete(body: bytes) -> RawResponse:
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        return answer(raw.send("POST", f"/{bucket}", "delete", [("Content-MD5", md5)], body))

    if request.param == "CreateBucket":
        accepted = b"<LocationConstraint>eu-west-1</LocationConstraint>"
        yield Target("CreateBucketConfiguration", "Tags", lambda body: answer(raw.send("PUT", f"/{name}", body=body)), accepted)
        if name in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
            s3.delete_bucket(Bucket=name)
    elif request.param == "DeleteObjects":
        yield Target("Delete", "Object", delete, b"<Object><Key>gone</Key></Object>")
    else:
        upload_id = begin(s3, bucket, "k")
        [part] = send(s3, bucket, "k", upload_id, {1: b"x"})
        inner = document((1, part["ETag"].strip('"')))
        inner = inner[inner.index(b"<Part>") : inner.index(b"</CompleteMultipartUpload>")]

        def complete(body: bytes) -> RawResponse:
            return answer(raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body))

        yield Target("CompleteMultipartUpload", "Part", complete, inner)


DECLARED = b'<?xml version="1.0" encoding="%s"?>'

MALFORMED: dict[str, Callable[[Target], bytes]] = {
    "rot13": lambda target: DECLARED % b"rot13" + target.wrapped(target.accepted),
    "hex": lambda target: DECLARED % b"hex" + target.wrapped(target.accepted),
    "mbcs": lambda target: DECLARED % b"mbcs" + target.wrapped(target.accepted),
    "idna": lambda target: DECLARED % b"idna" + target.wrapped(target.accepted),
    "utf-7": lambda target: DECLARED % b"utf-7" + target.wrapped(target.accepted),
    "unicode_escape": lambda target: DECLARED % b"unicode_escape" + target.wrapped(target.accepted),
    "shift_jis": lambda target: DECLARED % b"shift_jis" + target.wrapped(target.accepted),
    "no such encoding": lambda target: DECLARED % b"x-nonsense" + target.wrapped(target.accepted),
    "a long encoding": lambda target: DECLARED % (b"x" * 20_000) + target.wrapped(target.accepted),
    "utf-16 declared, utf-8 sent": lambda target: DECLARED % b"utf-16" + target.wrapped(target.accepted),
    "utf-16 of half a character": lambda target: (
        b"\xff\xfe" + target.wrapped(target.accepted).decode().encode("utf-16-le") + b"\x00\xd8"
    ),
    "utf-32": lambda target: target.wrapped(target.accepted).decode().encode("utf-32"),
    "the mark of utf-16 before utf-8": lambda target: b"\xff\xfe" + target.wrapped(target.accepted),
    "the mark of utf-16 twice": lambda target: b"\xfe\xff\xff\xfe" + target.wrapped(target.accepted),
    "utf-7's mark": lambda target: b"+/v8-" + target.wrapped(target.accepted),
    "bytes that are no utf-8": lambda target: target.wrapped(b"<%s>\xff\xfe</%s>" % ((target.item.encode(),) * 2)),
    "a surrogate": lambda target: target.wrapped(b"<Key>&#xD800;</Key>"),
    "a NUL": lambda target: target.wrapped(b"<Key>&#0;</Key>"),
    "a DTD": lambda target: b"<!DOCTYPE x>" + target.wrapped(target.accepted),
    "a DTD elsewhere": lambda target: b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + target.wrapped(target.accepted),
    "an entity": lambda target: b'<!DOCTYPE x [<!ENTITY e "1">]>' + target.wrapped(b"&e;"),
    "entities of entities": lambda target: (
        b'<!DOCTYPE x [<!ENTITY e0 "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY e%d "%s">' % (n + 1, b"&e%d;" % n * 10) for n in range(9))
        + b"]>"
        + target.wrapped(b"&e9;")
    ),
    "an entity that nobody declared": lambda target: target.wrapped(b"<Key>&nbsp;</Key>"),
    "no end": lambda target: target.wrapped(target.accepted)[:-5],
    "half a tag": lambda target: f"<{target.root}".encode(),
    "something after the end": lambda target: target.wrapped(target.accepted) + b"<a/>",
    "text after the end": lambda target: target.wrapped(target.accepted) + b"garbage",
    "two documents": lambda target: target.wrapped(target.accepted) * 2,
    "white space before the declaration": lambda target: b" " + DECLARED % b"utf-8" + target.wrapped(target.accepted),
    "only white space": lambda target: b" \r\n\t",
    "only a comment": lambda target: b"<!-- -->",
    "another root": lambda target: b"<Other>" + target.accepted + b"</Other>",
    "another namespace": lambda target: f'<{target.root} xmlns="http://example.com/">'.encode() + b"</%s>" % target.root.encode(),
    "a prefix of no namespace": lambda target: target.wrapped(b"<p:Key>a</p:Key>"),
    "JSON": lambda target: b'{"Objects": []}',
    "bytes": lambda target: bytes(range(256)) * 8,
    "one attribute twice": lambda target: f'<{target.root} a="" a=""/>'.encode(),
    "a deep tree": lambda target: target.wrapped(b"<a>" * 5000 + b"</a>" * 5000),
    "a deep tree below an item": lambda target: target.wrapped(
        b"<%s>" % target.item.encode() + b"<a>" * 5000 + b"</a>" * 5000 + b"</%s>" % target.item.encode()
    ),
    "a long name": lambda target: target.wrapped(b"<" + b"a" * 50_000 + b"/>"),
    "a long text": lambda target: target.wrapped(b"<Key>" + b"a" * 50_000 + b"</Key>"),
    "a long text in small pieces": lambda target: target.wrapped(b"<Key>" + b"a<!---->" * 6000 + b"</Key>"),
    "a long text of references": lambda target: target.wrapped(b"<Key>" + b"&#65;" * 10_000 + b"</Key>"),
    "many elements": lambda target: target.wrapped(b"<a/>" * 15_000),
    "many elements in an item": lambda target: target.wrapped(
        b"<%s>" % target.item.encode() + b"<a/>" * 15_000 + b"</%s>" % target.item.encode()
    ),
    "many attributes": lambda target: (
        f"<{target.root} ".encode() + b" ".join(b'a%d=""' % n for n in range(6000)) + b">" + f"</{target.root}>".encode()
    ),
    "a long attribute": lambda target: f'<{target.root} a="'.encode() + b"a" * 50_000 + f'"></{target.root}>'.encode(),
    "many namespaces": lambda target: (
        f"<{target.root} ".encode() + b" ".join(b'xmlns:a%d="u"' % n for n in range(3000)) + f"></{target.root}>".encode()
    ),
    "a long namespace": lambda target: f'<{target.root} xmlns="'.encode() + b"a" * 50_000 + f'"></{target.root}>'.encode(),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_document_that_is_not_as_it_should_be_is_malformed(target: Target, kind: str) -> None:
    refused = refusal_of(target.send(MALFORMED[kind](target)))
    assert (refused.status, refused.code) == (400, "MalformedXML"), refused
    assert refused.message == "The XML you provided was not well-formed or did not validate against our published schema"


ACCEPTED: dict[str, Callable[[Target], bytes]] = {
    "plain": lambda target: target.wrapped(target.accepted),
    "utf-8 declared": lambda target: DECLARED % b"UTF-8" + target.wrapped(target.accepted),
    "utf-8 with its mark": lambda target: b"\xef\xbb\xbf" + target.wrapped(target.accepted),
    "utf-16": lambda target: (DECLARED % b"utf-16" + target.wrapped(target.accepted)).decode().encode("utf-16"),
    "white space": lambda target: (
        b'<?xml version="1.0"?>\n\n' + target.wrapped(b"\n" * 1000 + target.accepted.replace(b"><", b">\n  <") + b"\t") + b"\n\n"
    ),
    "comments and instructions": lambda target: b"<!-- a --><?a b?>" + target.wrapped(b"<!-- b --><?c d?>" + target.accepted),
    "S3's namespace": lambda target: (
        f'<{target.root} xmlns="{NAMESPACE}">'.encode() + target.accepted + f"</{target.root}>".encode()
    ),
    "a prefix of S3's namespace": lambda target: (
        f'<s3:{target.root} xmlns:s3="{NAMESPACE}">'.encode()
        + target.accepted.replace(b"</", b"<\0").replace(b"<", b"<s3:").replace(b"<s3:\0", b"</s3:")
        + f"</s3:{target.root}>".encode()
    ),
    "attributes": lambda target: (
        f'<{target.root} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:a="b">'.encode()
        + target.accepted
        + f"</{target.root}>".encode()
    ),
    "CDATA and references": lambda target: target.wrapped(
        target.accepted.replace(b"eu-west-1", b"eu<![CDATA[-]]>we&#115;t-1").replace(b"gone", b"<![CDATA[go]]>n&#101;")
    ),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_document_written_differently_is_accepted(target: Target, kind: str) -> None:
    answer = target.send(ACCEPTED[kind](target))
    assert answer.status == 200, answer


def test_document_larger_than_the_limit_is_refused(target: Target) -> None:
    refused = refusal_of(target.send(target.wrapped(b" " * (9 * MIB))))
    assert (refused.status, refused.code) == (400, "MaxMessageLengthExceeded")


#: Bodies of 8 MiB each. Parsed into a tree, they would cost up to 400 MB.
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "empty elements": lambda item: b"<a/>" * (2 * MIB - 100),
    "empty items": lambda item: b"<%s/>" % item * (8 * MIB // (len(item) + 3) - 100),
    "a deep tree": lambda item: b"<a>" * (2 * MIB),
    "one text": lambda item: b"<Key>" + b"a" * (8 * MIB - 200) + b"</Key>",
    "short texts": lambda item: b"<Key>" + b"&#10;" * (MIB + 500_000) + b"</Key>",
    "one comment": lambda item: b"<!--" + b"a" * (8 * MIB - 200) + b"-->",
    "one instruction": lambda item: b"<?a " + b"a" * (8 * MIB - 200) + b"?>",
    "one CDATA": lambda item: b"<Key><![CDATA[" + b"a" * (8 * MIB - 200) + b"]]></Key>",
    "one attribute": lambda item: b'<a a="' + b"a" * (8 * MIB - 200) + b'"/>',
    "a million attributes": lambda item: b"<a " + b"".join(b'%x="" ' % n for n in range(10**6, 10**6 + 700_000)) + b"/>",
    "namespaces": lambda item: b"<a " + b"".join(b'xmlns:n%x="u" ' % n for n in range(450_000)) + b"/>",
}


@pytest.mark.parametrize("path", ["delete", "complete"])
def test_documents_of_eight_megabytes_leave_no_memory_behind(
    server: Server, raw: RawClient, s3: Any, bucket: str, path: str
) -> None:
    upload_id = begin(s3, bucket, "k")
    s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    before = memory_of(server)
    for kind, bomb in BOMBS.items():
        if path == "delete":
            body = b"<Delete>" + bomb(b"Object") + b"</Delete>"
            headers = [("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode())]
            answer = raw.send("POST", f"/{bucket}", "delete", headers, body)
        else:
            body = b"<CompleteMultipartUpload>" + bomb(b"Part") + b"</CompleteMultipartUpload>"
            answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body)
        assert len(body) <= 8 * MIB, kind
        assert refusal_of(answer).code == "MalformedXML", kind
    peak = highest_memory_of(server)
    assert memory_of(server) - before < KEPT // 2, "memory was not released"
    assert peak - before < KEPT, "a request used too much memory"
    assert keys_of(s3, bucket) == ["kept"]


def memory_of(server: Server, field: str = "VmRSS") -> int:
    """Return the server process's memory in bytes."""
    [line] = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


def highest_memory_of(server: Server) -> int:
    return memory_of(server, "VmHWM")


def test_document_of_more_than_ten_thousand_parts_is_malformed(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k")
    body = document(*((number, "0" * 32) for number in range(1, 10_002)))
    refused = refusal_of(raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body))
    assert (refused.status, refused.code) == (400, "MalformedXML")
    body = document(*((number, "0" * 32) for number in range(1, 10_001)))
    assert refusal_of(raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body)).code == "InvalidPart"
