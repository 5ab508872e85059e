"""Buckets: the starting point for finding objects."""

from django.contrib import admin

from ..models import Bucket, MultipartUpload
from .cells import list_link, moment, objects_link
from .pages import CatalogueAdmin
from .site import console


@admin.register(Bucket, site=console)
class BucketAdmin(CatalogueAdmin):
    list_display = ["name", "objects", "uploads", "owner", "region", "created"]
    list_select_related = ["owner"]
    ordering = ["name"]
    prefix_field = "name"
    search_help_text = "Name prefix"
    fields = readonly_fields = ("name", "shown_owner", "region", "created", "objects", "uploads")

    @admin.display(description="Objects")
    def objects(self, bucket: Bucket) -> str:
        return objects_link("Objects", bucket.pk)

    @admin.display(description="Uploads in progress")
    def uploads(self, bucket: Bucket) -> str:
        return list_link("Uploads", MultipartUpload, bucket__id__exact=bucket.pk)

    @admin.display(description="Created")
    def created(self, bucket: Bucket) -> str:
        return moment(bucket.created_at)
