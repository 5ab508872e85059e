"""Accounts, which buckets and users belong to. So far there is only one (D77)."""

import secrets

from django.db import models


def new_account_id() -> str:
    """Return twelve random digits. The first is not zero, because a spreadsheet would drop it."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)


class Account(models.Model):
    """The counterpart of an AWS account. Every user and bucket belongs to the first one."""

    #: Twelve digits that never change. Clients send them as `x-amz-expected-bucket-owner`.
    account_id = models.CharField(max_length=12, unique=True, default=new_account_id)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.account_id
