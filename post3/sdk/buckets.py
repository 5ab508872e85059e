"""Buckets: make, list, look for, empty and delete them."""

from collections.abc import Iterator
from typing import Any

from .deleting import Deleting
from .errors import Conflict, NotFound, refusals
from .values import BucketInfo


class Buckets(Deleting):
    """The client's calls for buckets."""

    def create_bucket(self, name: str, *, exist_ok: bool = False) -> None:
        """Make a bucket.

        Raises Conflict where the name is another user's, or where the bucket is the user's already, unless `exist_ok`. (In
        us-east-1 S3 takes making a bucket a second time for done, and so does post3.)
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
        """Tell whether there is that bucket. Raises AccessDenied where it is another user's."""
        try:
            with refusals():
                self.s3.head_bucket(Bucket=name)
        except NotFound:
            return False
        return True

    def list_buckets(self, prefix: str = "") -> Iterator[BucketInfo]:
        """Yield the buckets of the user, in the order of their names."""
        with refusals():
            for page in self.s3.get_paginator("list_buckets").paginate(**({"Prefix": prefix} if prefix else {})):
                for entry in page.get("Buckets", []):
                    yield BucketInfo(entry["Name"], entry["CreationDate"])

    def delete_bucket(self, name: str, *, with_objects: bool = False) -> None:
        """Delete a bucket; `with_objects` empties it first.

        Raises NotFound, Conflict where it is not empty, and DeleteFailed where some of its objects cannot be deleted.
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
