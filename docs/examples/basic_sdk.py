"""Everyday use of post3.sdk: buckets, bytes, files, streams, listings, copies, presigned URLs.

PYTHONPATH=. python docs/examples/basic_sdk.py
"""

import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

from post3.sdk import Client, Conflict, NotFound, ObjectEntry


def lines() -> Iterator[bytes]:
    """Yield lines, as a stream whose length is not known beforehand."""
    for number in range(1000):
        yield f"line {number}\n".encode()


def show(done: int, total: int | None) -> None:
    print(f"  {done:,} of {'?' if total is None else f'{total:,}'} bytes")


def main() -> None:
    bucket = f"example-basic-{uuid.uuid4().hex[:8]}"
    with Client() as client, tempfile.TemporaryDirectory() as directory:
        print(f"Server: {client.endpoint}")
        client.create_bucket(bucket)

        client.put_bytes(bucket, "notes/hello.txt", b"Hello, post3!")
        print("Bytes:", client.get_bytes(bucket, "notes/hello.txt").decode())

        # 20 MiB: files of 16 MiB or more are sent in parts, several concurrently.
        source, target = Path(directory, "video.bin"), Path(directory, "again.bin")
        source.write_bytes(b"0123456789abcdef" * (20 << 16))
        print("Sending a file:")
        client.put_file(bucket, "videos/video.bin", source, content_type="video/mp4", progress=show)
        client.get_file(bucket, "videos/video.bin", target)
        print("The file came back the same:", target.read_bytes() == source.read_bytes())

        client.put_stream(bucket, "notes/lines.txt", lines())
        with client.get_stream(bucket, "notes/lines.txt") as stream:
            print("A stream of", stream.info.size, "bytes; its first line is", stream.readline().decode().strip())

        print("Everything:", *(f"{entry.key} ({entry.size})" for entry in client.list_objects(bucket)))
        for found in client.list_folder(bucket):
            print("In the root:", found.key if isinstance(found, ObjectEntry) else f"{found.prefix} (folder)")

        client.copy(bucket, "notes/hello.txt", bucket, "notes/copy.txt")
        url = client.presign_get(bucket, "notes/copy.txt", expires=60)
        with urllib.request.urlopen(url) as response:
            print("By a presigned URL:", response.read().decode())

        try:
            client.get_bytes(bucket, "nothing-here")
        except NotFound as error:
            print("Not found:", error.code)
        try:
            client.delete_bucket(bucket)
        except Conflict as error:
            print("Not deleted:", error.code)

        print("Deleted below notes/:", client.delete_prefix(bucket, "notes/"))
        client.delete_bucket(bucket, with_objects=True)
        print("The bucket is there:", client.bucket_exists(bucket))


if __name__ == "__main__":
    sys.exit(main())
