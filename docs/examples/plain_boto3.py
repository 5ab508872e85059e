"""Plain boto3 against post3, without post3's SDK. The client's arguments are all the configuration it needs.

python docs/examples/plain_boto3.py
"""

import io
import os
import sys
import urllib.request
import uuid

import boto3
from botocore.config import Config


def main() -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
        region_name="us-east-1",
        # Path style, because there is no host name for each bucket; s3v4 for presigned URLs.
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    bucket = f"example-boto3-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    print("Bucket among the user's:", bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]])

    s3.put_object(Bucket=bucket, Key="2026/cat.txt", Body=b"meow", Metadata={"taken-by": "me"})
    answer = s3.get_object(Bucket=bucket, Key="2026/cat.txt")
    print("Object:", answer["Body"].read().decode(), answer["Metadata"])
    answer = s3.get_object(Bucket=bucket, Key="2026/cat.txt", Range="bytes=1-2")
    print("Range:", answer["Body"].read().decode(), answer["ContentRange"])

    # boto3 sends bodies over 8 MiB in parts.
    large = os.urandom(9 << 20)
    s3.upload_fileobj(io.BytesIO(large), bucket, "2026/large.bin")
    back = io.BytesIO()
    s3.download_fileobj(bucket, "2026/large.bin", back)
    print("Multipart upload came back the same:", back.getvalue() == large)

    s3.copy_object(Bucket=bucket, Key="2025/cat.txt", CopySource={"Bucket": bucket, "Key": "2026/cat.txt"})
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/")
    print("Folders:", *(entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])))

    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "2025/cat.txt"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as response:
        print("By a presigned URL:", response.read().decode())

    keys = [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    print("Deleted:", len(s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})["Deleted"]))
    s3.delete_bucket(Bucket=bucket)


if __name__ == "__main__":
    sys.exit(main())
