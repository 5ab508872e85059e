"""The client: what a daily user of a store needs, over boto3's client."""

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
    """A client of one server, for any number of threads.

    `s3` is boto3's own client with the same settings, for all that is not here.
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
        """Make a client; nothing is sent yet.

        `endpoint`: the server's URL, a path included where post3 is mounted below one; where it is left
        out, POST3_ENDPOINT, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's `endpoint_url`, whichever comes first, or
        http://127.0.0.1:9000. `access_key`, `secret_key`: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
        what AWS's configuration files have (AWS_PROFILE). Time-outs are in seconds, of connecting and of waiting for the next
        bytes; `attempts`: how often a request is tried. `transfers`: sizes of parts. `config`: botocore's, over these defaults.

        Raises ValueError (endpoint, half a key) and NoCredentials.
        """
        self.transfers = transfers or Transfers()
        self._attempts, self._region = attempts, region
        # A transfer's threads and some besides.
        connections = self.transfers.concurrency + 10
        defaults = make_config(
            connect_timeout=connect_timeout, read_timeout=read_timeout, attempts=attempts, connections=connections
        )
        self.s3: Any = make_client(endpoint, access_key, secret_key, region, defaults.merge(config) if config else defaults)

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return self.s3.meta.endpoint_url

    def close(self) -> None:
        """Close the connections; `with Client() as client` does so at its end."""
        self.s3.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
