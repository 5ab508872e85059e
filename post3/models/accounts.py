"""Accounts: who buckets and users belong to. There is one so far, which everything belongs to (D77)."""

import secrets

from django.db import models


def new_account_id() -> str:
    """Return twelve random digits. The first is no zero, which a spreadsheet would drop."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


class Account(models.Model):
    """An account, as an AWS account is. Every user and bucket belongs to the first one."""

    #: Twelve digits, the same for ever: what clients send as `x-amz-expected-bucket-owner`.
    account_id = models.CharField(max_length=12, unique=True, default=new_account_id)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.account_id
