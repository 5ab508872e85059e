"""Create, list, find, empty and delete buckets."""

from collections.abc import Iterator
from typing import Any

from .deleting import Deleting
from .errors import Conflict, NotFound, refusals
from .values import BucketInfo


class Buckets(Deleting):
    """The client's methods for buckets."""

    def create_bucket(self, name: str, *, exist_ok: bool = False) -> None:
        """Create a bucket.

        Raises Conflict if the bucket belongs to another user or, unless `exist_ok`, to this user already. (In
        us-east-1, S3 accepts a repeated creation of the user's own bucket, and so does post3.)
        """
        arguments: dict[str, Any] = {"Bucket": name}
        if self._region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": self._region}
        try:
            with refusals():
                self.s3.create_bucket(**arguments)
        except Conflict as error:
            if not (exist_ok and error.code == "BucketAlreadyOwnedByYou"):
                raise

    def bucket_exists(self, name: str) -> bool:
        """Return whether the bucket exists. Raises AccessDenied if it belongs to another user."""
        try:
            with refusals():
                self.s3.head_bucket(Bucket=name)
        except NotFound:
            return False
        return True

    def list_buckets(self, prefix: str = "") -> Iterator[BucketInfo]:
        """Yield the user's buckets, ordered by name."""
        with refusals():
            for page in self.s3.get_paginator("list_buckets").paginate(**({"Prefix": prefix} if prefix else {})):
                for entry in page.get("Buckets", []):
                    yield BucketInfo(entry["Name"], entry["CreationDate"])

    def delete_bucket(self, name: str, *, with_objects: bool = False) -> None:
        """Delete a bucket; `with_objects` empties it first.

        Raises NotFound, Conflict if it is not empty, and DeleteFailed if some of its objects cannot be deleted.
        """
        if with_objects:
            self.empty_bucket(name)
        with refusals():
            self.s3.delete_bucket(Bucket=name)

    def empty_bucket(self, name: str) -> int:
        """Delete all objects of a bucket and abort its multipart uploads; return how many objects there were.

        Raises DeleteFailed.
        """
        deleted = self.delete_many(name, (entry.key for entry in self.list_objects(name)))
        with refusals():
            for page in self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
                for upload in page.get("Uploads", []):
                    self.s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        return deleted
