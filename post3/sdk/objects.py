"""Properties of objects, copies, and presigned URLs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .base import Calls
from .errors import NotFound, refusals
from .progress import Progress
from .values import ObjectInfo

#: Maximum validity of a presigned URL in seconds: a week.
MAX_EXPIRES = 7 * 24 * 3600


class Objects(Calls):
    """The client's methods for single objects, other than storing, fetching and deleting them."""

    @refusals()
    def head(self, bucket: str, key: str) -> ObjectInfo:
        """Return an object's properties, including its metadata. Raises NotFound."""
        return ObjectInfo.of(key, self.s3.head_object(Bucket=bucket, Key=key))

    def exists(self, bucket: str, key: str) -> bool:
        """Return whether the object exists; False if the bucket does not exist."""
        try:
            self.head(bucket, key)
        except NotFound:
            return False
        return True

    @refusals()
    def copy(
        self,
        bucket: str,
        key: str,
        to_bucket: str,
        to_key: str,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Copy an object of any size on the server, with all its properties except the storage class.

        `metadata` and `content_type` replace those of the source; its other properties are kept. A copy of up to 5 GiB
        is one request, and moves no bytes in post3. Raises NotFound (source or a bucket), and Conflict or s3transfer's
        S3CopyFailedError if the source is overwritten meanwhile.
        """
        extra: dict[str, Any] = {}
        if metadata is not None or content_type is not None:
            extra = _replacing(self.head(bucket, key), metadata, content_type)
        self._copy({"Bucket": bucket, "Key": key}, to_bucket, to_key, extra, progress)

    @refusals()
    def set_metadata(
        self, bucket: str, key: str, metadata: Mapping[str, str] | None = None, *, content_type: str | None = None
    ) -> None:
        """Replace an object's metadata, its content type or both; nothing else changes. Raises NotFound, Conflict."""
        if metadata is None and content_type is None:
            raise ValueError("Nothing to set: give metadata, content_type or both")
        source = self.head(bucket, key)
        extra = {**_replacing(source, metadata, content_type), "StorageClass": source.storage_class}
        self._copy({"Bucket": bucket, "Key": key}, bucket, key, extra, None)

    @refusals()
    def presign_get(self, bucket: str, key: str, *, expires: int = 3600, download_as: str | None = None) -> str:
        """Return a URL with which anybody can fetch the object for `expires` seconds, at the client's endpoint.

        `download_as`: the name under which a browser saves it. The object need not exist yet.
        """
        parameters = {"Bucket": bucket, "Key": key}
        if download_as is not None:
            parameters["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(download_as, safe='')}"
        return self._presign("get_object", parameters, expires)

    @refusals()
    def presign_put(self, bucket: str, key: str, *, expires: int = 3600, content_type: str | None = None) -> str:
        """Return a URL with which anybody can store the object by a PUT for `expires` seconds.

        With `content_type` the PUT must carry exactly that Content-Type.
        """
        parameters = {"Bucket": bucket, "Key": key}
        if content_type is not None:
            parameters["ContentType"] = content_type
        return self._presign("put_object", parameters, expires)

    def _presign(self, operation: str, parameters: dict[str, str], expires: int) -> str:
        if not 1 <= expires <= MAX_EXPIRES:
            raise ValueError(f"expires is in seconds, from 1 to {MAX_EXPIRES} (a week)")
        url: str = self.s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=expires)
        return url

    def _copy(self, source: dict[str, str], bucket: str, key: str, extra: dict[str, Any], progress: Progress | None) -> None:
        self._transfer(lambda manager, subscribers: manager.copy(source, bucket, key, extra, subscribers), progress, copying=True)


def _replacing(source: ObjectInfo, metadata: Mapping[str, str] | None, content_type: str | None) -> dict[str, Any]:
    """Return boto3's arguments for a copy that replaces these: S3 replaces all or nothing, so the rest is repeated."""
    said = {
        "ContentType": source.content_type if content_type is None else content_type,
        "CacheControl": source.cache_control,
        "ContentDisposition": source.content_disposition,
        "ContentEncoding": source.content_encoding,
        "ContentLanguage": source.content_language,
        "Metadata": source.metadata if metadata is None else dict(metadata),
    }
    return {
        "MetadataDirective": "REPLACE",
        "CopySourceIfMatch": source.etag,
        **{name: value for name, value in said.items() if value or name == "Metadata"},
    }
