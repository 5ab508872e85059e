"""Metadata, content types and conditions.

PYTHONPATH=. python docs/examples/metadata.py
"""

import sys
import uuid

from botocore.exceptions import ClientError

from post3.sdk import Client


def main() -> None:
    bucket = f"example-metadata-{uuid.uuid4().hex[:8]}"
    with Client() as client:
        client.create_bucket(bucket)

        # Names of metadata are case-insensitive and are returned in lower case; values are ASCII.
        client.put_bytes(
            bucket,
            "report.html",
            b"<h1>Report</h1>",
            content_type="text/html; charset=utf-8",
            cache_control="max-age=60",
            metadata={"Author": "Ada", "reviewed": "no"},
        )
        info = client.head(bucket, "report.html")
        print("Stored:", info.content_type, info.cache_control, info.metadata, info.size, "bytes")

        client.set_metadata(bucket, "report.html", {**info.metadata, "reviewed": "yes"})
        after = client.head(bucket, "report.html")
        print("Reviewed:", after.metadata, "still", after.content_type, "and", after.cache_control)
        print("The bytes are the same:", after.etag == info.etag)

        # For calls that the SDK does not have, use boto3's client: `client.s3`.
        print("If it is there already:", status(client, "put_object", Bucket=bucket, Key="report.html", IfNoneMatch="*"))
        print("If nobody changed it:", status(client, "put_object", Bucket=bucket, Key="report.html", IfMatch=after.etag))
        changed = client.head(bucket, "report.html")
        print("If it is new:", status(client, "get_object", Bucket=bucket, Key="report.html", IfNoneMatch=changed.etag))

        client.delete_bucket(bucket, with_objects=True)


def status(client: Client, operation: str, **arguments: str) -> int:
    """Call boto3 and return the HTTP status of the response."""
    try:
        return getattr(client.s3, operation)(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


if __name__ == "__main__":
    sys.exit(main())
