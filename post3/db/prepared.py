"""Prepared statements on PostgreSQL by one call of libpq each, with parameters and results in binary.

psycopg's own `execute` sends, polls and reads by calls of their own, each of which lets go of Python's lock and must win it
back from the other threads; a single `PQexecPrepared` does so once (D14). It knows nothing of transactions, which psycopg
begins, so it serves statements that stand by themselves.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from psycopg import Connection
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.errors import InvalidSqlStatementName, OperationalError, error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format

_AUTO = PyFormat.AUTO
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class _Adapters(AdaptContext):
    """A connection's adapters without the connection, which would never be let go of otherwise."""

    def __init__(self, adapters: AdaptersMap) -> None:
        self._adapters = adapters

    @property
    def adapters(self) -> AdaptersMap:
        return self._adapters

    @property
    def connection(self) -> None:
        return None


class Statements:
    """The statements prepared on one connection, and the adapters of their values; for one thread at a time.

    The adapters live as long as the connection: a new set would look a reader up for each column of each result.
    """

    def __init__(self, raw: Connection[Any]) -> None:
        self._transformer = Transformer(_Adapters(raw.adapters))
        #: What the names begin with. They never come twice, so that one that was forgotten here but lives on there is in nobody's
        #: way; and nobody else's are equal: a pooler that knows nothing of statements would have us run theirs instead of ours.
        self._prefix, self._numbers = f"post3_{uuid4().hex[:16]}", count()
        #: (statement, types of its parameters) -> its name on the connection
        self._names: dict[tuple[str, tuple[int, ...] | None], bytes] = {}
        #: Whether what was prepared is found again. Not where a pooler gives each transaction another server connection.
        self._keeps = True

    def fetch(self, raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        transformer = self._transformer
        result = self._run(raw, sql, params)
        transformer.set_pgresult(result)
        rows = transformer.load_rows(0, result.ntuples, tuple)
        transformer.set_pgresult(None)  # or the bytes of an object stay until the next one
        return rows

    def execute(self, raw: Connection[Any], sql: str, params: Sequence[Any]) -> int:
        return self._run(raw, sql, params).command_tuples or 0

    def _run(self, raw: Connection[Any], sql: str, params: Sequence[Any]) -> Any:
        transformer, names = self._transformer, self._names
        values = transformer.dump_sequence(params, [_AUTO] * len(params))
        while self._keeps:
            name = names.get((sql, transformer.types))
            known = name is not None
            if name is None:
                name = f"{self._prefix}_{next(self._numbers)}".encode()
                _checked(raw, raw.pgconn.prepare(name, _numbered(sql), transformer.types))
                names[sql, transformer.types] = name
            try:
                return _checked(raw, raw.pgconn.exec_prepared(name, values, transformer.formats, Format.BINARY))
            except InvalidSqlStatementName:  # nothing was run
                # Something deallocated them all, or a pooler is in between: surely, where it was prepared a moment ago.
                names.clear()
                self._keeps = known
        return _checked(
            raw, raw.pgconn.exec_params(_numbered(sql), values, transformer.types, transformer.formats, Format.BINARY)
        )


def fetch(raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement by itself and return its rows. Raises psycopg's errors."""
    return _statements_of(raw).fetch(raw, sql, params)


def execute(raw: Connection[Any], sql: str, params: Sequence[Any]) -> int:
    """Run a statement by itself and return how many rows it touched. Raises psycopg's errors."""
    return _statements_of(raw).execute(raw, sql, params)


def _statements_of(raw: Connection[Any]) -> Statements:
    statements = _statements.get(raw)
    if statements is None:
        statements = _statements[raw] = Statements(raw)
    return statements


def _checked(raw: Connection[Any], result: Any) -> Any:
    """Return libpq's result, or raise psycopg's error for it."""
    if result.status not in _DONE:
        if raw.pgconn.status == ConnStatus.BAD and not result.error_field(DiagnosticField.SQLSTATE):
            # libpq itself noticed that the server is gone; psycopg would call what has no code a DatabaseError.
            raise OperationalError(result.get_error_message(raw.info.encoding))
        raise error_from_result(result, encoding=raw.info.encoding)
    return result


_statements: WeakKeyDictionary[Connection[Any], Statements] = WeakKeyDictionary()


@lru_cache(maxsize=256)
def _numbered(sql: str) -> bytes:
    """Write `%s` as PostgreSQL's `$1`, `$2` and so on."""
    first, *others = sql.split("%s")
    numbered = first + "".join(f"${number}{text}" for number, text in enumerate(others, 1))
    return numbered.replace("%%", "%").encode()
