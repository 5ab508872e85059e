"""Delete one object, many objects, or all objects with a prefix."""

import itertools
import re
from collections.abc import Iterable, Iterator

from botocore.exceptions import ClientError

from .errors import DeleteFailed, refusal, refusals
from .listings import Listings
from .values import DeleteError

#: Maximum keys per request.
BATCH = 1000
#: Characters that XML 1.0 cannot contain, and that therefore cannot be in a list of keys to delete.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Deleting(Listings):
    """The client's methods that delete objects. Deleting an object that does not exist is not an error."""

    @refusals()
    def delete(self, bucket: str, key: str) -> None:
        """Delete one object. Raises NotFound if the bucket does not exist."""
        self.s3.delete_object(Bucket=bucket, Key=key)

    def delete_many(self, bucket: str, keys: Iterable[str]) -> int:
        """Delete any number of objects, 1,000 per request; return how many.

        A key that cannot be deleted does not stop the others. Raises DeleteFailed at the end, with all keys that were
        not deleted. An error that stops the whole call (NotFound for the bucket, no connection) has them in a note.
        """
        deleted, failed = 0, list[DeleteError]()
        remaining = iter(keys)
        try:
            while batch := list(itertools.islice(remaining, BATCH)):
                errors = [*self._delete_batch(bucket, batch)]
                failed += errors
                deleted += len(batch) - len(errors)
        except Exception as error:
            if failed:
                error.add_note(f"Before that: {DeleteFailed(failed, deleted)}")
            raise
        if failed:
            raise DeleteFailed(failed, deleted)
        return deleted

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete every object whose key begins with `prefix`; return how many. Raises DeleteFailed, NotFound (bucket).

        Raises ValueError for an empty prefix: only `empty_bucket` deletes a bucket's entire contents.
        """
        if not prefix:
            raise ValueError("An empty prefix would delete the whole bucket; empty_bucket does that")
        return self.delete_many(bucket, (entry.key for entry in self.list_objects(bucket, prefix)))

    def _delete_batch(self, bucket: str, keys: list[str]) -> Iterator[DeleteError]:
        """Delete up to 1,000 objects; yield an error for each that could not be deleted."""
        listed = [key for key in keys if not _NOT_IN_XML.search(key)]
        if listed:
            with refusals():
                answer = self.s3.delete_objects(
                    Bucket=bucket, Delete={"Objects": [{"Key": key} for key in listed], "Quiet": True}
                )
            for error in answer.get("Errors", []):
                yield DeleteError(error.get("Key", ""), error.get("Code", ""), error.get("Message", ""))
        for key in keys:
            if _NOT_IN_XML.search(key):
                yield from self._delete_alone(bucket, key)

    def _delete_alone(self, bucket: str, key: str) -> Iterator[DeleteError]:
        try:
            self.s3.delete_object(Bucket=bucket, Key=key)
        except ClientError as error:
            refused = refusal(error)
            if refused.code == "NoSuchBucket":
                raise refused from None
            yield DeleteError(key, refused.code, refused.response["Error"].get("Message", ""))
