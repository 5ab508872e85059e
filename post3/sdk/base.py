"""What the parts of the client share: the boto3 client, and transfers by s3transfer."""

from collections.abc import Callable
from typing import Any

from boto3.s3.transfer import TransferConfig, create_transfer_manager

from .progress import Progress, Reporter
from .values import Transfers


class Calls:
    """The base of the client's parts. `s3` is boto3's client, safe to use from several threads."""

    s3: Any
    transfers: Transfers
    _attempts: int
    _region: str

    def _transfer(self, start: Callable[[Any, list[Any]], Any], progress: Progress | None, *, copying: bool = False) -> None:
        """Run a transfer to its end: `start` is given the manager and the subscribers, and returns the future.

        What fails is aborted, an interrupt (Ctrl-C) too, before the error is raised.
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
            # The other one, by awscrt, knows no progress callbacks of ours nor these sizes, and is chosen by the kind of machine.
            preferred_transfer_client="classic",
        )
