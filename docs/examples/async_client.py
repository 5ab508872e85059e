"""Asynchronous use with obstore: many objects concurrently, streams in both directions, in one event loop.

    python docs/examples/async_client.py

obstore is the Rust library object_store with an asyncio interface. It normalizes keys. For a key that contains `//`,
or `.` or `..` between slashes, or that ends with a slash, use the SDK or boto3; their clients can be used from many
threads (`asyncio.to_thread`).
"""

import asyncio
import os
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import boto3
import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
MIB = 1 << 20


def open_store(bucket: str) -> S3Store:
    """Return the bucket as a store; the key comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""
    return S3Store(
        bucket,
        endpoint=ENDPOINT,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": ENDPOINT.startswith("http://"), "timeout": "60s", "connect_timeout": "5s"},
    )


async def numbers(count: int) -> AsyncIterator[bytes]:
    """Yield `count` pieces of a MiB, like a stream that arrives in pieces from another server."""
    for number in range(count):
        await asyncio.sleep(0)
        yield number.to_bytes(4, "big") * (MIB // 4)


async def main() -> None:
    bucket = f"example-async-{uuid.uuid4().hex[:8]}"
    # obstore does not manage buckets. boto3 creates this one, on a thread.
    s3 = boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1")
    await asyncio.to_thread(s3.create_bucket, Bucket=bucket)
    store = open_store(bucket)

    async def put(number: int) -> None:
        await obstore.put_async(store, f"many/{number:03}", f"object {number}".encode())

    await asyncio.gather(*(put(number) for number in range(100)))
    answers = await asyncio.gather(*(obstore.get_async(store, f"many/{number:03}") for number in range(100)))
    bodies = [bytes(await answer.bytes_async()).decode() for answer in answers]
    print("At once:", len(bodies), "objects, the last is", bodies[-1])

    # The length is unknown, so this is sent in parts of 5 MiB, several concurrently.
    await obstore.put_async(store, "large", numbers(12))
    size, whole = 0, b""
    async for piece in (await obstore.get_async(store, "large")).stream(min_chunk_size=MIB):
        size, whole = size + len(piece), whole + bytes(piece)
    print("A stream of", size, "bytes came back the same:", whole == b"".join([piece async for piece in numbers(12)]))

    listed = [entry async for page in obstore.list(store, prefix="many/") for entry in page]
    print("Listed:", len(listed))

    try:
        await obstore.put_async(store, "large", b"mine", mode="create")
    except AlreadyExistsError:
        print("Not overwritten: it is there already")

    url = await obstore.sign_async(store, "GET", "many/007", timedelta(minutes=1))
    with await asyncio.to_thread(urllib.request.urlopen, url) as response:
        print("By a presigned URL:", response.read().decode())

    await obstore.delete_async(store, [entry["path"] for entry in listed] + ["large"])
    await asyncio.to_thread(s3.delete_bucket, Bucket=bucket)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
