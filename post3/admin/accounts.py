"""Accounts: the ids by which clients refer to bucket owners."""

from django.contrib import admin

from ..models import Account
from .cells import moment
from .pages import CatalogueAdmin
from .site import console


@admin.register(Account, site=console)
class AccountAdmin(CatalogueAdmin):
    list_display = fields = readonly_fields = ("account_id", "created")
    ordering = ["pk"]

    @admin.display(description="Created")
    def created(self, account: Account) -> str:
        return moment(account.created_at)
