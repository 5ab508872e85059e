"""The client: common operations on an object store, on top of boto3's client."""

from types import TracebackType
from typing import Any, Self

from botocore.config import Config

from .buckets import Buckets
from .connection import make_client, make_config
from .downloads import Downloads
from .objects import Objects
from .uploads import Uploads
from .values import Transfers


class Client(Buckets, Uploads, Downloads, Objects):
    """A client for one server, usable from any number of threads.

    `s3` is boto3's own client with the same settings, for everything that this class does not cover.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str = "us-east-1",
        connect_timeout: float = 5,
        read_timeout: float = 60,
        attempts: int = 4,
        transfers: Transfers | None = None,
        config: Config | None = None,
    ) -> None:
        """Create a client without sending a request.

        `endpoint`: the server's URL, including the path if post3 is mounted below one. The default is the first of
        POST3_ENDPOINT, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and the profile's `endpoint_url`, or else
        http://127.0.0.1:9000.
        `access_key`, `secret_key`: by default AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the key in AWS's
        configuration files (AWS_PROFILE).
        `connect_timeout`, `read_timeout`: seconds to wait for a connection, and for the next bytes.
        `attempts`: how often a request is tried. `transfers`: sizes of parts.
        `config`: botocore's configuration, which overrides these defaults.

        Raises ValueError (endpoint, half a key) and NoCredentials.
        """
        self.transfers = transfers or Transfers()
        self._attempts, self._region = attempts, region
        # Enough for a transfer's threads and some other calls.
        connections = self.transfers.concurrency + 10
        defaults = make_config(
            connect_timeout=connect_timeout, read_timeout=read_timeout, attempts=attempts, connections=connections
        )
        self.s3: Any = make_client(endpoint, access_key, secret_key, region, defaults.merge(config) if config else defaults)

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        url: str = self.s3.meta.endpoint_url
        return url

    def close(self) -> None:
        """Close the connections; `with Client() as client` does this at the end of the block."""
        self.s3.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
