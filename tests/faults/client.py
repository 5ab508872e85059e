"""An S3 client that distinguishes between a response and not knowing whether the request was executed.

Each thread has one connection. boto3 takes two milliseconds per call and retries implicitly; this client takes a tenth
of a millisecond.
"""

import contextlib
import hashlib
import socket
from typing import Any
from xml.etree import ElementTree

from tests.benchmarks.signer import Signer
from tests.raw import RawResponse, read_response
from tests.servers import Server

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
#: Seconds to wait for a response. After that, the result of the request is unknown.
TIMEOUT = 60.0


class NotSent(Exception):
    """The server does not listen. It did not receive the request, so the request had no effect."""


class Unanswered(Exception):
    """The request was sent at least in part and no complete response came. It may or may not have been executed."""


class Client:
    """Signs and sends one request after the other. `timeout` is in seconds."""

    def __init__(self, server: Server, bucket: str = "", timeout: float = TIMEOUT) -> None:
        self.bucket, self._address, self._timeout = bucket, (server.host, server.port), timeout
        self._signer = Signer(server.host, server.port, server.access_key, server.secret_key)
        self._socket: socket.socket | None = None

    def call(
        self,
        method: str,
        key: str = "",
        query: dict[str, str] | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> RawResponse:
        """Send a request for a key or the bucket.

        Return the response, whatever its status. Raises NotSent, Unanswered.
        """
        path = f"/{self.bucket}/{key}" if key else f"/{self.bucket}"
        length = len(body) if body or method in ("PUT", "POST") else None
        head = self._signer.head(method, path, query, hashlib.sha256(body).hexdigest(), length, headers)
        connection = self._socket
        if connection is None:
            try:
                connection = self._socket = socket.create_connection(self._address, timeout=self._timeout)
            except OSError as error:
                raise NotSent(str(error)) from None
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connection.sendall(head + body)
            answer = read_response(connection, method)
        except (OSError, ValueError, IndexError) as error:
            # OSError: interrupted or timed out. The others: a response whose head was interrupted within a line.
            self.close()
            raise Unanswered(str(error)) from None
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def names(self, kind: str, prefix: str = "") -> list[tuple[str, Any]]:
        """List the keys with a prefix: "objects" gives (key, (etag, size)), "uploads" gives (key, upload ID).

        Raises NotSent, Unanswered, and AssertionError for a response other than 200.
        """
        found: list[tuple[str, Any]] = []
        markers = {"objects": {"list-type": "2"}, "uploads": {"uploads": ""}}[kind] | {"prefix": prefix}
        query = dict(markers)
        while True:
            answer = self.call("GET", query=query)
            assert answer.status == 200, answer
            root = ElementTree.fromstring(answer.body)
            if kind == "objects":
                for entry in root.iter(f"{NAMESPACE}Contents"):
                    found.append((_text(entry, "Key"), (_text(entry, "ETag").strip('"'), int(_text(entry, "Size")))))
                query = {**markers, "continuation-token": _text(root, "NextContinuationToken")}
            else:
                found += [(_text(entry, "Key"), _text(entry, "UploadId")) for entry in root.iter(f"{NAMESPACE}Upload")]
                query = {**markers, "key-marker": _text(root, "NextKeyMarker")}
                query["upload-id-marker"] = _text(root, "NextUploadIdMarker")
            if _text(root, "IsTruncated") != "true":
                return found

    def close(self) -> None:
        """Close the connection. The next call opens another one."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def upload_id_of(answer: RawResponse) -> str:
    """Return the upload ID in a CreateMultipartUpload response."""
    return _text(ElementTree.fromstring(answer.body), "UploadId")


def parts_document(etags: list[str]) -> bytes:
    """Return a CompleteMultipartUpload body for these parts, numbered from 1."""
    parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1))
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def _text(element: Any, name: str) -> str:
    return element.findtext(f"{NAMESPACE}{name}") or ""
