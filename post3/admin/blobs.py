"""Damaged blobs, and the objects they belong to. Intact blobs are not listed; they show nothing that objects do not."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join

from ..models import Blob
from ..services.damage import OWNERS_AT_MOST, owners
from ..visible import visible as printable
from .cells import human_size, moment
from .pages import CatalogueAdmin, find_by_number
from .site import console


@admin.register(Blob, site=console)
class DamagedBlobAdmin(CatalogueAdmin):
    """Damaged blobs, newest first, from an index of damaged blobs. Every blob has a page, which objects link to."""

    list_display = ["id", "shown_size", "storage_class", "belongs_to", "created"]
    list_per_page = 25  # each row needs a query for its owners
    fields = ["id", "state", "storage_class", "name", "shown_size", "crc64nvme", "md5", "created", "belongs_to"]
    readonly_fields = ["shown_size", "created", "belongs_to"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Blob]:
        return super().get_queryset(request).filter(state=Blob.State.DAMAGED)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Blob | None:
        return find_by_number(Blob, object_id)

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-pk"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Damaged blobs", **(extra_context or {})})

    @admin.display(description="Size")
    def shown_size(self, blob: Blob) -> str:
        return human_size(blob.size)

    @admin.display(description="Created")
    def created(self, blob: Blob) -> str:
        return moment(blob.created_at)

    @admin.display(description=f"Belongs to (first {OWNERS_AT_MOST})")
    def belongs_to(self, blob: Blob) -> str:
        return format_html_join(", ", "{}/{}", ((bucket, printable(key)) for bucket, key in owners(blob.pk)))
