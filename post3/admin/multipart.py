"""Multipart uploads in progress, and their parts."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from ..catalogue.attributes import HEADERS
from ..models import MultipartUpload, UploadPart
from .cells import code, human_size, list_link, moment, visible
from .pages import CatalogueAdmin, PartsAdmin, TableInline
from .site import console


class UploadPartCells:
    """Columns of a part, for the list of parts and for the page of its upload."""

    @admin.display(description="Size")
    def human_size(self, part: UploadPart) -> str:
        return human_size(part.size)

    @admin.display(description="ETag")
    def shown_etag(self, part: UploadPart) -> str:
        return code(part.etag)

    @admin.display(description="Last modified")
    def modified(self, part: UploadPart) -> str:
        return moment(part.last_modified)


UPLOAD_PART_COLUMNS = ("part_number", "human_size", "shown_etag", "checksum_algorithm", "checksum", "modified")


class UploadPartInline(UploadPartCells, TableInline):
    model = UploadPart
    verbose_name_plural = "parts"
    fields = UPLOAD_PART_COLUMNS


@admin.register(MultipartUpload, site=console)
class MultipartUploadAdmin(CatalogueAdmin):
    """All uploads, newest first. The uploads of one bucket are ordered by key and can be searched by prefix."""

    list_display = ["shown_key", "bucket_link", "initiated", "all_parts", "content_type", "storage_class", "owner"]
    list_display_links = ["shown_key"]
    list_select_related = ["bucket", "owner"]
    lookups = ("bucket__id__exact",)
    prefix_field = "key"
    search_help_text = "Key prefix (case-sensitive)"
    inlines = [UploadPartInline]
    fieldsets = [
        (None, {"fields": ["bucket_link", "shown_key", "upload_id", "initiated", "shown_owner", "all_parts"]}),
        (
            "Object to be created",
            {
                "fields": [
                    "storage_class",
                    "checksum_algorithm",
                    "checksum_type",
                    *HEADERS,
                    "shown_metadata",
                ]
            },
        ),
    ]
    readonly_fields = ["bucket_link", "shown_key", "initiated", "shown_owner", "all_parts", "shown_metadata"]

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Return the order of one of the table's two indexes. The index of keys starts with the bucket."""
        return ["key", "upload_id"] if self._in_bucket(request) else ["-initiated_at", "-pk"]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the search field only within a bucket, because the index of keys starts with the bucket."""
        return super().get_search_fields(request) if self._in_bucket(request) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MultipartUpload], search_term: str
    ) -> tuple[QuerySet[MultipartUpload], bool]:
        return super().get_search_results(request, queryset, search_term if self._in_bucket(request) else "")

    def _in_bucket(self, request: HttpRequest) -> bool:
        return "bucket__id__exact" in request.GET

    @admin.display(description="Bucket")
    def bucket_link(self, upload: MultipartUpload) -> str:
        return list_link(upload.bucket.name, MultipartUpload, bucket__id__exact=upload.bucket_id)

    @admin.display(description="Key")
    def shown_key(self, upload: MultipartUpload) -> str:
        return visible(upload.key)

    @admin.display(description="Initiated")
    def initiated(self, upload: MultipartUpload) -> str:
        return moment(upload.initiated_at)

    @admin.display(description="Metadata (x-amz-meta-…)")
    def shown_metadata(self, upload: MultipartUpload) -> str:
        lines = (visible(f"{name}: {value}") for name, value in upload.metadata.items())
        return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))

    @admin.display(description="Parts")
    def all_parts(self, upload: MultipartUpload) -> str:
        return list_link("Parts", UploadPart, upload__id__exact=upload.pk)


@admin.register(UploadPart, site=console)
class UploadPartAdmin(UploadPartCells, PartsAdmin):
    whole = "upload"
    list_display = UPLOAD_PART_COLUMNS
