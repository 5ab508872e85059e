"""Compare the catalogue with the bytes, independently of the code under test: SQL, files, and `hashlib`.

All bytes that an object or an uploaded part refers to must exist and be complete. Unreferenced bytes are not a fault,
but are counted: a crash between rename and commit leaves a file without a row.
"""

import functools
import hashlib
from dataclasses import dataclass, field

from ..helpers import files_of, query
from ..servers import Server

STORED = 1
_md5 = functools.partial(hashlib.md5, usedforsecurity=False)

BLOBS = "SELECT id, name, size, md5, block_size, state FROM post3_blob"
REFERENCES = (
    "SELECT blob_id FROM post3_object WHERE blob_id IS NOT NULL "
    "UNION SELECT blob_id FROM post3_objectpart WHERE blob_id IS NOT NULL "
    "UNION SELECT blob_id FROM post3_uploadpart WHERE blob_id IS NOT NULL"
)
#: Title -> a statement that finds rows which must not exist.
IMPOSSIBLE = {
    "an object of another size than its blob": (
        "SELECT o.key FROM post3_object o JOIN post3_blob b ON b.id = o.blob_id WHERE o.size <> b.size"
    ),
    "an object of one PUT with another MD5 than its blob": (
        "SELECT o.key FROM post3_object o JOIN post3_blob b ON b.id = o.blob_id WHERE o.parts_count = 0 AND o.etag <> b.md5"
    ),
    "an object with bytes in its row and a blob": (
        "SELECT o.key FROM post3_object o WHERE o.blob_id IS NOT NULL AND o.data IS NOT NULL"
    ),
    "an object with bytes that are nowhere": (
        "SELECT o.key FROM post3_object o WHERE o.blob_id IS NULL AND o.data IS NULL AND o.size <> "
        "(SELECT COALESCE(SUM(p.size), 0) FROM post3_objectpart p WHERE p.object_id = o.id)"
    ),
    "a part of another size than its blob": (
        "SELECT p.object_id FROM post3_objectpart p LEFT JOIN post3_blob b ON b.id = p.blob_id "
        "WHERE p.size <> COALESCE(b.size, 0)"
    ),
    "an uploaded part of another size or MD5 than its blob": (
        "SELECT p.id FROM post3_uploadpart p JOIN post3_blob b ON b.id = p.blob_id WHERE p.size <> b.size OR p.etag <> b.md5"
    ),
    "an upload that is completed and still there": (
        "SELECT u.key FROM post3_multipartupload u JOIN post3_object o ON o.upload_id = u.upload_id"
    ),
    "an upload completed twice": (
        "SELECT upload_id FROM post3_object WHERE upload_id <> '' GROUP BY upload_id HAVING COUNT(*) > 1"
    ),
}


@dataclass(slots=True)
class Findings:
    """Faults and mere leftovers."""

    faults: list[str] = field(default_factory=list)
    blobs: int = 0
    #: Objects with their bytes in the row.
    rows: int = 0
    #: Unreferenced blobs, which the worker will remove, and files that no row names.
    collectable: int = 0
    files: int = 0


def check(server: Server) -> Findings:
    """Compare everything. The server must not be writing meanwhile."""
    findings = Findings()
    for title, statement in IMPOSSIBLE.items():
        findings.faults += [f"{title}: {row[0]}" for row in query(server, statement)]
    for key, size, etag, data in query(server, "SELECT key, size, etag, data FROM post3_object WHERE data IS NOT NULL"):
        findings.rows += 1
        if len(data) != size or _md5(data).hexdigest() != etag:
            findings.faults.append(f"object {key!r}: {len(data)} bytes of {size} in its row, or not those of its ETag {etag}")
    referenced = {row[0] for row in query(server, REFERENCES)}
    rows = query(server, BLOBS)
    files = files_of(server)
    for number, name, size, md5, block_size, state in rows:
        findings.blobs += 1
        if number not in referenced:
            findings.collectable += 1
        elif state != STORED:
            findings.faults.append(f"blob {number} is referred to in state {state}")
        else:
            _check_bytes(server, findings, number, name, size, md5, block_size)
    findings.faults += [f"blob {number} is referred to but has no row" for number in referenced - {row[0] for row in rows}]
    known = {row[1] for row in rows if row[1]} | _descriptions(server, findings, files)
    findings.files = len(files - known)
    return findings


def _check_bytes(server: Server, findings: Findings, number: int, name: str, size: int, md5: str, block_size: int) -> None:
    if name:
        path = server.data_dir / "var" / "objects" / name
        body = path.read_bytes() if path.exists() else None
    else:
        blocks = query(server, 'SELECT "index", data FROM post3_block WHERE blob_id = ? ORDER BY "index"', [number])
        body = b"".join(bytes(data) for _, data in blocks)
        if [index for index, _ in blocks] != list(range(-(-size // block_size) if block_size else 0)):
            findings.faults.append(f"blob {number} of {size} bytes has the blocks {[index for index, _ in blocks]}")
    if body is None:
        findings.faults.append(f"blob {number}: file {name} is missing")
    elif len(body) != size or _md5(body).hexdigest() != md5:
        findings.faults.append(f"blob {number}: {len(body)} bytes of {size}, MD5 {_md5(body).hexdigest()} instead of {md5}")


def _descriptions(server: Server, findings: Findings, files: set[str]) -> set[str]:
    """Return the names of the objects' descriptions. Each must exist."""
    names = {f"{row[0]}.json" for row in query(server, "SELECT sidecar FROM post3_object WHERE sidecar <> ''")}
    findings.faults += [f"description {name} is missing" for name in names - files]
    return names
