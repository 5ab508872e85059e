"""Undoing, when a caller's transaction is rolled back, what was done outside the database: files, and their descriptions.

Django calls back after a commit and never after a rollback. To take a commit that has not called back for a rollback would be a
guess, and a wrong one costs an object its bytes. So the two methods by which Django's connection rolls back are wrapped, on the
connection itself: what is undone is undone after the database has said that it rolled back, and at no other time. A process
that is killed, and a connection that is lost, leave the bytes; `check_storage --repair` finds them.
"""

import logging
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

logger = logging.getLogger(__name__)

Undo = Callable[[], None]


def on_rollback(undo: Undo) -> None:
    """Have `undo` called should the caller's transaction, or a savepoint around the call, be rolled back.

    Outside a transaction nothing is kept. `undo` may not use the database: it is called while Django rolls back.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        return
    if "post3_undos" not in database.__dict__:
        _watch(database)
    # With the connection itself: what another one began, which was lost, is not what this one rolls back.
    waiting = [entry for entry in database.post3_undos if entry[1] is database.connection]
    database.post3_undos = [*waiting, (frozenset(database.savepoint_ids), database.connection, undo)]


def _watch(database: Any) -> None:
    reference = weakref.ref(database)  # no cycle: a thread's connection shall close when the thread ends
    database.post3_undos = []
    database._commit = partial(_commit, reference)
    database._rollback = partial(_rollback, reference)
    database._savepoint_rollback = partial(_savepoint_rollback, reference)


def _commit(reference: "weakref.ref[Any]") -> None:
    database: Any = reference()
    # Before the commit: whatever interrupts it, what may be committed is never undone.
    waiting, database.post3_undos = database.post3_undos, []
    try:
        type(database)._commit(database)
    except Exception:  # refused, as by a deferred constraint: Django rolls back next
        database.post3_undos = waiting
        raise


def _rollback(reference: "weakref.ref[Any]") -> None:
    database: Any = reference()
    type(database)._rollback(database)
    waiting, database.post3_undos = database.post3_undos, []
    _undo(database, waiting)


def _savepoint_rollback(reference: "weakref.ref[Any]", sid: str) -> None:
    database: Any = reference()
    type(database)._savepoint_rollback(database, sid)
    waiting = database.post3_undos
    database.post3_undos = [entry for entry in waiting if sid not in entry[0]]
    _undo(database, [entry for entry in waiting if sid in entry[0]])


def _undo(database: Any, entries: list[tuple[frozenset[str], Any, Undo]]) -> None:
    for _, raw, undo in reversed(entries):
        if raw is database.connection:
            try:
                undo()
            except Exception:
                logger.exception("What was rolled back left something in a storage")
