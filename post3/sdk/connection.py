"""The boto3 client, with the defaults that fit a post3 server.

Path style, because a server on an address has no host name for each bucket. Signature Version 4 in presigned URLs too. Retries
in botocore's standard mode: connections that broke, time-outs, throttling and errors of the server, with growing pauses.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from .. import __version__

DEFAULT_ENDPOINT = "http://127.0.0.1:9000"


class NoCredentials(BotoCoreError):
    """There is no access key: none was given, and neither the environment nor AWS's configuration files have one."""

    fmt = (
        "There is no access key. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give access_key and secret_key; "
        "the server makes them by `manage.py create_api_key`."
    )


def make_client(
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    region: str,
    config: Config,
) -> Any:
    """Return a boto3 client for S3. Raises ValueError (endpoint; one half of a key) and NoCredentials."""
    if bool(access_key) != bool(secret_key):
        raise ValueError("access_key and secret_key go together: give both or none")
    session = boto3.Session(botocore_session=_session())
    if not access_key and session.get_credentials() is None:
        raise NoCredentials()
    return session.client(
        "s3",
        endpoint_url=check_endpoint(endpoint or os.environ.get("POST3_ENDPOINT") or DEFAULT_ENDPOINT),
        aws_access_key_id=access_key or None,
        aws_secret_access_key=secret_key or None,
        region_name=region,
        config=config,
    )


def make_config(*, connect_timeout: float, read_timeout: float, attempts: int, connections: int) -> Config:
    """Return botocore's configuration. Time-outs in seconds; `attempts`: of one request, the first included."""
    return Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=connections,
        tcp_keepalive=True,
        user_agent_extra=f"post3-sdk/{__version__}",
    )


def check_endpoint(endpoint: str) -> str:
    """Return the endpoint without a slash at its end. Raises ValueError where it is no http or https URL."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"The endpoint {endpoint!r} is no URL like {DEFAULT_ENDPOINT} (POST3_ENDPOINT, or given)")
    return endpoint.rstrip("/")


def _session() -> botocore.session.Session:
    """Return a session that looks for keys in the environment and in AWS's files, but asks no machine of Amazon's for them.

    Outside Amazon's cloud that question takes seconds to fail; within it the answer is a key that no post3 server knows.
    """
    session = botocore.session.Session()
    providers = session.get_component("credential_provider")
    for method in ("container-role", "iam-role"):
        providers.remove(method)
    return session
