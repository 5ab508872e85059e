"""Objects of a bucket, ordered by key, with metadata, tags and parts."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from ..catalogue.attributes import HEADERS
from ..models import Bucket, Object, ObjectMetadata, ObjectPart, ObjectTag
from .cells import code, human_size, list_link, list_url, moment, objects_link, visible
from .pages import CatalogueAdmin, PartsAdmin, TableInline, find_by_number
from .site import console


class ObjectMetadataInline(TableInline):
    model = ObjectMetadata
    verbose_name_plural = "metadata (x-amz-meta-…)"
    fields = ("name", "value")


class ObjectTagInline(TableInline):
    model = ObjectTag
    verbose_name_plural = "tags"
    fields = ("key", "value")


class ObjectPartInline(TableInline):
    model = ObjectPart
    verbose_name_plural = "parts"
    fields = ("part_number", "offset", "human_size", "checksum", "blob")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ObjectPart]:
        return super().get_queryset(request).select_related("blob")

    @admin.display(description="Size")
    def human_size(self, part: ObjectPart) -> str:
        return human_size(part.size)


@admin.register(Object, site=console)
class ObjectAdmin(CatalogueAdmin):
    list_display_links = ["shown_key"]
    list_select_related = ["owner"]
    lookups = ("bucket__id__exact", "is_latest__exact")
    prefix_field = "key"
    search_help_text = "Key prefix (case-sensitive)"
    inlines = [ObjectMetadataInline, ObjectTagInline, ObjectPartInline]
    fieldsets = [
        (None, {"fields": ["bucket_link", "shown_key", "version", "human_size", "shown_etag", "modified", "shown_owner"]}),
        (
            "Headers",
            {
                "fields": [
                    *HEADERS,
                ]
            },
        ),
        (
            "Storage",
            {"fields": ["storage_class", "blob", "blob_name", "shown_parts", "checksum_algorithm", "checksum_type", "checksum"]},
        ),
    ]
    # Fields that the model does not have. All others are read-only anyway, because nobody may change objects.
    readonly_fields = [
        "bucket_link",
        "shown_key",
        "version",
        "human_size",
        "shown_etag",
        "modified",
        "shown_owner",
        "blob_name",
        "shown_parts",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Object]:
        """Leave out the bytes in the rows, which no page shows."""
        return super().get_queryset(request).defer("data")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        versions = () if self._latest_only(request) else ("version",)
        columns = ("human_size", "modified", "content_type", "shown_etag", "storage_class", "shown_parts", "owner")
        return ("shown_key", *versions, *columns)

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Return the order of the indexes, without the bucket, which is always fixed: see `changelist_view`."""
        return ["key"] if self._latest_only(request) else ["key", "sequence"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Only the latest versions have a separate index.
        return value == "1" if lookup == "is_latest__exact" else super().lookup_allowed(lookup, value, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the objects of the bucket in the URL. Without a bucket, redirect to the list of buckets."""
        bucket = find_by_number(Bucket, request.GET.get("bucket__id__exact", ""))
        if bucket is None:
            messages.info(request, "Objects are listed by bucket. Choose a bucket.")
            return redirect("post3_console:post3_bucket_changelist")
        latest_only = self._latest_only(request)
        other = {} if latest_only else {"is_latest__exact": 1}
        context = {
            "title": f"Objects in {bucket}" if latest_only else f"All versions in {bucket}",
            "versions_url": list_url(Object, bucket__id__exact=bucket.pk, **other),
            "versions_text": "All versions" if latest_only else "Latest versions only",
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def _latest_only(self, request: HttpRequest) -> bool:
        return "is_latest__exact" in request.GET

    @admin.display(description="Bucket")
    def bucket_link(self, obj: Object) -> str:
        return objects_link(obj.bucket.name, obj.bucket_id)

    @admin.display(description="Key")
    def shown_key(self, obj: Object) -> str:
        return visible(obj.key)

    @admin.display(description="Size")
    def human_size(self, obj: Object) -> str:
        return human_size(obj.size)

    @admin.display(description="ETag")
    def shown_etag(self, obj: Object) -> str:
        return code(obj.etag)

    @admin.display(description="Last modified")
    def modified(self, obj: Object) -> str:
        return moment(obj.last_modified)

    @admin.display(description="Version")
    def version(self, obj: Object) -> str:
        notes = [text for text, told in (("latest", obj.is_latest), ("delete marker", obj.is_delete_marker)) if told]
        return f"{obj.version_id} ({', '.join(notes)})" if notes else obj.version_id

    @admin.display(description="Parts")
    def shown_parts(self, obj: Object) -> str:
        return list_link(str(obj.parts_count), ObjectPart, object__id__exact=obj.pk) if obj.parts_count else "-"

    @admin.display(description="Name in storage")
    def blob_name(self, obj: Object) -> str:
        return visible(obj.blob.name) if obj.blob and obj.blob.name else "-"


@admin.register(ObjectPart, site=console)
class ObjectPartAdmin(PartsAdmin):
    whole = "object"
    list_display = ["part_number", "offset", "human_size", "checksum", "blob"]
    list_select_related = ["blob"]
