"""The functions that statements call on PostgreSQL. SQLite has none (`catalogue/listing.py`, `catalogue/writing.py`).

LIST is two functions that use the index of latest versions, whatever the planner estimates. If a table was never
analyzed, or its statistics are older than a bucket, the planner expects one or two rows in the bucket. It then prefers
to read and sort the whole range, once for each entry of a page, which is a hundred times slower (D30). A function can
forbid that for its own statements without affecting others.

A write enters its bucket first (`post3_enter_bucket`). It must not overwrite an object that was written after a change
of the bucket's settings that the write has not seen. It could, because a statement that waits for a lock keeps its old
snapshot. The function therefore takes a shared lock, and then compares the version of the settings in a new snapshot.
The trigger `post3_bucket_change` takes the lock exclusively, so a change waits for writes in flight, and later writes
wait for the change. The lock is an advisory lock because these are granted in order. A steady stream of shared locks on
the row itself would block a change indefinitely (D93).
"""

from typing import Any

COLUMNS = ("key", "size", "etag", "last_modified", "storage_class", "owner_id", "checksum_algorithm", "checksum_type")
TABLE = ", ".join(f"{column} post3_object.{column}%TYPE" for column in COLUMNS)
SELECTED = ", ".join(f"o.{column}" for column in COLUMNS)
INTO = ", ".join(COLUMNS)
RANGE = "o.bucket_id = of_bucket AND o.is_latest AND NOT o.is_delete_marker AND o.key >= low AND o.key < high"
BY_INDEX = "SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off"

#: Returns the first `page` objects from `low` (included) to `high` (excluded).
LIST_FLAT = f"""
CREATE OR REPLACE FUNCTION post3_list_flat(of_bucket bigint, low text, high text, page integer)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
BEGIN
    RETURN QUERY SELECT {SELECTED} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT page;
END $$
"""

#: The same, except that keys with `delimiter` after their first `skip` characters are rolled up. Each common prefix is
#: one row, with the prefix as its key and no size. The next seek starts at the prefix with `raised` in place of the
#: delimiter, which is greater than all keys that were rolled up. The first statement of the loop reads the index alone.
#: A seek takes 10 µs, ten times as long as a row of a range. After a plain key, a range is therefore read until a
#: common prefix ends it.
LIST_ROLLED_UP = f"""
CREATE OR REPLACE FUNCTION post3_list_rolled_up(
    of_bucket bigint, low text, high text, page integer, skip integer, delimiter text, raised text)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
DECLARE
    place integer;
    common text;
BEGIN
    WHILE page > 0 LOOP
        SELECT o.key INTO key FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT 1;
        EXIT WHEN NOT FOUND;
        place := strpos(substr(key, skip + 1), delimiter);
        IF place = 0 THEN
            low := key;
            FOR {INTO} IN SELECT {SELECTED} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT page LOOP
                place := strpos(substr(key, skip + 1), delimiter);
                EXIT WHEN place > 0;
                page := page - 1;
                RETURN NEXT;
            END LOOP;
            EXIT WHEN place = 0;
        END IF;
        page := page - 1;
        common := substr(key, 1, skip + place - 1);
        low := common || raised;
        key := common || delimiter;
        size := NULL;
        RETURN NEXT;
    END LOOP;
END $$
"""

#: The advisory lock of a bucket is this number plus the bucket's id. The digits spell "post3" on a telephone keypad.
LOCK = 76783_000_000_000_000

ENTER_BUCKET = f"""
CREATE OR REPLACE FUNCTION post3_enter_bucket(of_bucket bigint, of_config bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({LOCK} + of_bucket);
    RETURN (SELECT id FROM post3_bucket WHERE id = of_bucket AND config_version = of_config);
END $$
"""

#: Called before a version is added. Deletes the version with the same id (only "null" can occur twice), and clears
#: `is_latest` of the latest version. The loop handles versions that others have added in the meantime, because each
#: statement in a function has a new snapshot.
MAKE_WAY = """
CREATE OR REPLACE FUNCTION post3_make_way(
    of_bucket bigint, of_key text, of_version text, OUT sequence bigint, OUT revision bigint, OUT old_sidecar text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    retired record;
BEGIN
    DELETE FROM post3_object o WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.version_id = of_version
    RETURNING o.sequence, o.revision, o.sidecar INTO sequence, revision, old_sidecar;
    LOOP
        UPDATE post3_object o SET is_latest = false WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.is_latest
        RETURNING o.sequence, o.revision INTO retired;
        IF FOUND THEN
            sequence := greatest(sequence, retired.sequence);
            revision := greatest(revision, retired.revision);
            EXIT;
        END IF;
        PERFORM FROM post3_object o WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.is_latest;
        EXIT WHEN NOT FOUND;
    END LOOP;
    sequence := coalesce(sequence, 0);
    revision := coalesce(revision, 0);
END $$
"""

FUNCTIONS = {
    "post3_list_flat": LIST_FLAT,
    "post3_list_rolled_up": LIST_ROLLED_UP,
    "post3_enter_bucket": ENTER_BUCKET,
    "post3_make_way": MAKE_WAY,
}


def install_functions(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL client_min_messages = warning")  # each `%TYPE` causes a notice
        for function in FUNCTIONS.values():
            schema_editor.execute(function, None)


def drop_functions(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP FUNCTION {', '.join(FUNCTIONS)}")
