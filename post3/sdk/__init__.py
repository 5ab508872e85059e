"""A client for post3 servers: boto3 with suitable defaults, and methods for the most common tasks.

    from post3.sdk import Client

    client = Client()  # AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
    client.create_bucket("photos")
    client.put_file("photos", "2026/cat.jpg", "cat.jpg", progress=lambda done, total: print(done, total))
    for entry in client.list_objects("photos", "2026/"):
        print(entry.key, entry.size)

For everything else in S3, `client.s3` is boto3's own client. The SDK needs boto3 (`pip install post3[sdk]`) and nothing
from Django. Errors are botocore's; a refusal by the server is one of the subclasses in `errors.py`.

`connection.py` makes the boto3 client. `buckets.py`, `uploads.py`, `downloads.py`, `listings.py`, `objects.py` and
`deleting.py` hold the methods of `Client`, and `values.py` their results.
"""

try:
    import boto3  # noqa: F401 (imported here to report its absence in one sentence)
except ModuleNotFoundError as error:
    if error.name != "boto3":
        raise
    raise ImportError("post3.sdk needs boto3, which is not installed: pip install 'post3[sdk]'") from None

from .client import Client
from .connection import DEFAULT_ENDPOINT, NoCredentials
from .errors import AccessDenied, Conflict, DeleteFailed, NotFound, Refused
from .progress import Progress
from .values import BucketInfo, DeleteError, Folder, ObjectEntry, ObjectInfo, PutOptions, Transfers

__all__ = [
    "DEFAULT_ENDPOINT",
    "AccessDenied",
    "BucketInfo",
    "Client",
    "Conflict",
    "DeleteError",
    "DeleteFailed",
    "Folder",
    "NoCredentials",
    "NotFound",
    "ObjectEntry",
    "ObjectInfo",
    "Progress",
    "PutOptions",
    "Refused",
    "Transfers",
]
