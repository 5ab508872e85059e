"""The account of the bucket owners, identified by twelve digits as clients expect (B153)."""

import re

from ..errors import InvalidBucketOwnerAWSAccountID
from ..models import Account

_ID = re.compile(r"[0-9]{12}", re.ASCII)


def account_id() -> str:
    """Return the id of the account that users and buckets belong to. It is created once, usually by a migration."""
    return _first().account_id


def is_account_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def check_account_id(text: str) -> None:
    """Raise InvalidBucketOwnerAWSAccountID if the text cannot be the id of an account."""
    if not is_account_id(text):
        raise InvalidBucketOwnerAWSAccountID(
            f"The value of the expected bucket owner parameter must be an AWS Account ID... [{text}]"
        )


def restore_account(known: str) -> None:
    """Give the first account the id that it had in a lost catalogue."""
    Account.objects.filter(pk=_first().pk).update(account_id=known)


def _first() -> Account:
    return Account.objects.order_by("pk").first() or Account.objects.create()
