"""Make the boto3 client, with defaults that suit a post3 server.

URLs are path-style, because a server at an IP address has no host name for each bucket. Presigned URLs use Signature
Version 4, too. Retries use botocore's standard mode: broken connections, timeouts, throttling and server errors are
retried with growing pauses.
"""

import os
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ProfileNotFound

from .. import __version__

DEFAULT_ENDPOINT = "http://127.0.0.1:9000"


class NoCredentials(BotoCoreError):
    """No access key was given, and neither the environment nor AWS's configuration files contain one."""

    fmt = (
        "There is no access key. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give access_key and secret_key; "
        "`create_api_key` on the server creates both."
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
    core = _session()
    session = boto3.Session(botocore_session=core)
    if not access_key and session.get_credentials() is None:
        raise NoCredentials()
    return session.client(
        "s3",
        endpoint_url=check_endpoint(*find_endpoint(endpoint, core)),
        aws_access_key_id=access_key or None,
        aws_secret_access_key=secret_key or None,
        region_name=region,
        config=config,
    )


def make_config(*, connect_timeout: float, read_timeout: float, attempts: int, connections: int) -> Config:
    """Return botocore's configuration. Timeouts are in seconds; `attempts` is per request and includes the first."""
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


def find_endpoint(given: str | None, session: botocore.session.Session) -> tuple[str, str]:
    """Return the endpoint and its source: the caller, POST3_ENDPOINT, boto3's sources in boto3's order, or default."""
    if given:
        return given, "endpoint"
    for name in ("POST3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        ignored = name.startswith("AWS_") and _ignores_configured_endpoints(session)
        if (found := os.environ.get(name)) and not ignored:
            return found, name
    if (found := _profile_endpoint(session)) and not _ignores_configured_endpoints(session):
        return found, "endpoint_url in AWS's configuration file"
    return DEFAULT_ENDPOINT, "default"


def _ignores_configured_endpoints(session: botocore.session.Session) -> bool:
    """Whether AWS_IGNORE_CONFIGURED_ENDPOINT_URLS or the profile excludes AWS's variables and files from the search."""
    return bool(session.get_config_variable("ignore_configured_endpoint_urls"))


def _profile_endpoint(session: botocore.session.Session) -> str | None:
    """Return the profile's (AWS_PROFILE) endpoint for S3, preferably from its services section."""
    try:
        profile = session.get_scoped_config()
    except ProfileNotFound:
        return None
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    for_s3 = services.get("s3", {})
    found: str | None = for_s3.get("endpoint_url") if isinstance(for_s3, dict) else None
    return found or profile.get("endpoint_url")


def check_endpoint(endpoint: str, source: str) -> str:
    """Return the endpoint without a trailing slash. Raises ValueError if it is not an http or https URL."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"The endpoint {endpoint!r} is no URL like {DEFAULT_ENDPOINT} (from {source})")
    return endpoint.rstrip("/")


def _session() -> botocore.session.Session:
    """Return a session that finds keys in the environment and AWS's files, but not on AWS's metadata services.

    Outside Amazon's cloud such a query takes seconds to fail; inside it returns a key that no post3 server knows.
    """
    session = botocore.session.Session()
    providers = session.get_component("credential_provider")
    for method in ("container-role", "iam-role"):
        providers.remove(method)
    return session
