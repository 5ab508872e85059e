"""Statements that delete rows. The database also deletes everything that belongs to them (`migrations/_rules.py`).

They bypass the ORM, which would read all of those rows first.
"""

from collections.abc import Sequence

from ..db.sql import execute, fetch


def remove_bucket(bucket_id: int) -> None:
    execute("DELETE FROM post3_bucket WHERE id = %s", (bucket_id,))


def remove_object(object_id: int) -> None:
    """Remove one version of a key."""
    execute("DELETE FROM post3_object WHERE id = %s", (object_id,))


def remove_upload(upload_id: int) -> None:
    """Remove a multipart upload by its primary key."""
    execute("DELETE FROM post3_multipartupload WHERE id = %s", (upload_id,))


def remove_blobs(blob_ids: Sequence[int]) -> list[int]:
    """Remove unreferenced blobs. Return the size in bytes of each blob that existed."""
    if not blob_ids:
        return []
    places = ", ".join(["%s"] * len(blob_ids))
    return [size for (size,) in fetch(f"DELETE FROM post3_blob WHERE id IN ({places}) RETURNING size", blob_ids)]
