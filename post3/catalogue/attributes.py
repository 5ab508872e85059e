"""The attributes of an object, each declared once.

An attribute is a column of `post3_object`. Everything else follows from its declaration here: the statements that read
and write it, whether a copy keeps it, whether a multipart upload keeps it until it is completed, the description beside
the bytes, and rebuilding a catalogue from descriptions. If a header carries the attribute, only this module names that
header.
"""

import enum
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, Self


class Kind(enum.Enum):
    """Where the value of an attribute comes from."""

    #: Set by the client. A copy keeps or replaces it, and a multipart upload keeps it until completion.
    GIVEN = enum.auto()
    #: Derived from the bytes. A copy by reference keeps it.
    CONTENT = enum.auto()
    #: Set by each write.
    WRITE = enum.auto()


@dataclass(frozen=True, slots=True)
class Declaration:
    kind: Kind
    #: The HTTP header that carries it in both directions; empty if there is none.
    header: str = ""
    #: Whether descriptions contain it.
    described: bool = True
    #: Whether GET and HEAD read it.
    read: bool = True


def attribute(kind: Kind, default: Any = "", *, header: str = "", described: bool = True, read: bool = True) -> Any:
    """Declare a field. `default` may be MISSING, which makes the field required, or `dict`."""
    declared = {Declaration: Declaration(kind, header, described, read)}
    return field(default_factory=dict, metadata=declared) if default is dict else field(default=default, metadata=declared)


# Not frozen, because each read creates one: that takes 3 µs instead of 10 µs, of 500 µs for a whole HEAD.
@dataclass(slots=True)
class Attributes:
    """Everything that the catalogue knows about an object except its key, its version and the location of its bytes."""

    owner_id: int = attribute(Kind.WRITE, MISSING)
    #: Bytes.
    size: int = attribute(Kind.CONTENT, MISSING)
    #: Without quotes.
    etag: str = attribute(Kind.CONTENT, MISSING)
    storage_class: str = attribute(Kind.WRITE, MISSING)
    last_modified: datetime = attribute(Kind.WRITE, MISSING)  # noqa: RUF009
    checksum_algorithm: str = attribute(Kind.CONTENT)
    #: FULL_OBJECT or COMPOSITE.
    checksum_type: str = attribute(Kind.CONTENT)
    #: Base64.
    checksum: str = attribute(Kind.CONTENT)
    #: The number of parts of its upload; 0 if it was uploaded by one PUT.
    parts_count: int = attribute(Kind.CONTENT, 0, described=False)
    content_type: str = attribute(Kind.GIVEN, header="Content-Type")
    content_encoding: str = attribute(Kind.GIVEN, header="Content-Encoding")
    content_disposition: str = attribute(Kind.GIVEN, header="Content-Disposition")
    content_language: str = attribute(Kind.GIVEN, header="Content-Language")
    cache_control: str = attribute(Kind.GIVEN, header="Cache-Control")
    expires: str = attribute(Kind.GIVEN, header="Expires")
    #: User metadata, by name without `x-amz-meta-`.
    metadata: dict[str, str] = attribute(Kind.GIVEN, dict)  # noqa: RUF009
    #: The multipart upload that created the object.
    upload_id: str = attribute(Kind.WRITE, read=False)
    #: The storage's name for the description; empty if the storage keeps none.
    sidecar: str = attribute(Kind.WRITE, described=False, read=False)

    def of_kind(self, kind: Kind) -> dict[str, Any]:
        """Return the values of all attributes of a kind, by name."""
        return {name: getattr(self, name) for name in BY_KIND[kind]}

    @classmethod
    def of_row(cls, row: Any, **others: Any) -> Self:
        """Return the attributes of an instance of the model `Object`, with `others` in place of the row's."""
        return cls(**{name: getattr(row, name) for name in COLUMNS} | others)


DECLARATIONS: dict[str, Declaration] = {each.name: each.metadata[Declaration] for each in fields(Attributes)}
#: The columns, in the order that all statements use.
COLUMNS = tuple(DECLARATIONS)
BY_KIND = {kind: tuple(name for name, each in DECLARATIONS.items() if each.kind is kind) for kind in Kind}
#: Attribute -> the header that carries it.
HEADERS = {name: each.header for name, each in DECLARATIONS.items() if each.header}
#: The attributes in a description that are neither headers nor metadata.
DESCRIBED = tuple(name for name in COLUMNS if DECLARATIONS[name].described and name not in (*HEADERS, "metadata"))
