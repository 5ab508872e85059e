"""The common base of the client's parts: the boto3 client, and transfers with s3transfer."""

from collections.abc import Callable
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from .progress import Progress, Reporter
from .values import Transfers


class Calls:
    """The base class of the client's parts. `s3` is boto3's client, which is thread-safe."""

    s3: Any
    transfers: Transfers
    _attempts: int
    _region: str

    def _transfer(self, start: Callable[[Any, list[Any]], Any], progress: Progress | None, *, copying: bool = False) -> None:
        """Run a transfer to its end: `start` receives the manager and the subscribers and returns the future.

        A transfer that fails or is interrupted (Ctrl-C) is aborted before the error is raised.
        """
        reporter = Reporter(progress) if progress else None
        with create_transfer_manager(self.s3, self._transfer_config(copying)) as manager:
            start(manager, [reporter] if reporter else []).result()
        if reporter:
            reporter.finish()

    def _transfer_config(self, copying: bool) -> TransferConfig:
        sizes = self.transfers
        return TransferConfig(
            multipart_threshold=sizes.copy_threshold if copying else sizes.threshold,
            multipart_chunksize=sizes.copy_part_size if copying else sizes.part_size,
            max_concurrency=sizes.concurrency,
            num_download_attempts=self._attempts,
            # The awscrt client supports neither our progress callbacks nor these sizes; some machines select it.
            preferred_transfer_client="classic",
        )
