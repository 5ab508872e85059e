"""Undo changes outside the database, to files and their descriptions, when a caller's transaction is rolled back.

Django has a callback after a commit but none after a rollback. Treating a commit that has not called back as a rollback
would be a guess, and a wrong guess costs an object its bytes. Instead, the two methods that roll back are wrapped on
the Django connection itself: changes are undone only after the database has confirmed the rollback. A killed process or
a lost connection leaves the bytes behind; `check_storage --repair` finds them.
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
    """Call `undo` if the caller's transaction, or a savepoint around the call, is rolled back.

    Outside a transaction, does nothing. `undo` must not use the database: it is called while Django rolls back.
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    if not database.in_atomic_block:
        return
    if "post3_undos" not in database.__dict__:
        _watch(database)
    # Stored with the raw connection: work started on an earlier, lost connection is not rolled back by this one.
    waiting = [entry for entry in database.post3_undos if entry[1] is database.connection]
    database.post3_undos = [*waiting, (frozenset(database.savepoint_ids), database.connection, undo)]


def _watch(database: Any) -> None:
    reference = weakref.ref(database)  # no cycle: a thread's connection must close when the thread ends
    database.post3_undos = []
    database._commit = partial(_commit, reference)
    database._rollback = partial(_rollback, reference)
    database._savepoint_rollback = partial(_savepoint_rollback, reference)


def _commit(reference: "weakref.ref[Any]") -> None:
    database: Any = reference()
    # Cleared before the commit: whatever interrupts it, changes that may be committed are never undone.
    waiting, database.post3_undos = database.post3_undos, []
    try:
        type(database)._commit(database)
    except Exception:  # refused, by a deferred constraint for example: Django rolls back next
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
                logger.exception("A rollback could not be completed outside the database; something remains in a storage")
