"""Run prepared statements on PostgreSQL by one libpq call each, with parameters and results in binary.

psycopg's own `execute` sends, polls and reads in separate calls. Each call releases Python's lock and must win it back
from the other threads; a single `PQexecPrepared` does so once (D14). It bypasses psycopg's transactions, so it is only
for statements outside a transaction.
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
    """A connection's adapters without the connection, which would otherwise never be freed."""

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

    The adapters live as long as the connection: a new set would look up a loader for each column of each result.
    """

    def __init__(self, raw: Connection[Any]) -> None:
        self._transformer = Transformer(_Adapters(raw.adapters))
        #: Prefix of the statements' names. Names are never reused, so a statement forgotten here but still present on
        #: the server causes no conflict. They are globally unique, because a pooler that ignores prepared statements
        #: would otherwise run another client's statement instead.
        self._prefix, self._numbers = f"post3_{uuid4().hex[:16]}", count()
        #: (statement, types of its parameters) -> its name on the connection.
        self._names: dict[tuple[str, tuple[int, ...] | None], bytes] = {}
        #: Whether prepared statements persist. Not if a pooler switches server connections between transactions.
        self._keeps = True

    def fetch(self, raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        transformer = self._transformer
        result = self._run(raw, sql, params)
        transformer.set_pgresult(result)
        rows = transformer.load_rows(0, result.ntuples, tuple)
        transformer.set_pgresult(None)  # otherwise an object's bytes stay in memory until the next result
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
                # psycopg's annotation of this method forgets None, which is NULL.
                result = raw.pgconn.exec_prepared(name, values, transformer.formats, Format.BINARY)  # type: ignore[arg-type]
                return _checked(raw, result)
            except InvalidSqlStatementName:  # nothing was run
                # Something deallocated all statements, or (certain if it was only just prepared) a pooler is in
                # between.
                names.clear()
                self._keeps = known
        return _checked(
            raw, raw.pgconn.exec_params(_numbered(sql), values, transformer.types, transformer.formats, Format.BINARY)
        )


def fetch(raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement outside a transaction and return its rows. Raises psycopg's errors."""
    return _statements_of(raw).fetch(raw, sql, params)


def execute(raw: Connection[Any], sql: str, params: Sequence[Any]) -> int:
    """Run a statement outside a transaction and return how many rows it affected. Raises psycopg's errors."""
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
            # libpq itself noticed that the server is gone; psycopg would make an error without a code a DatabaseError.
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
