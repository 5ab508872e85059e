"""Formatting of cells in the console's tables."""

from datetime import datetime
from typing import Any

from django.db.models import Model
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.timezone import localtime

from ..models import Object
from ..visible import visible as printable


def list_url(model: type[Model], **lookups: Any) -> str:
    """Return the URL of a model's list, filtered by the lookups."""
    return reverse(f"post3_console:post3_{model._meta.model_name}_changelist") + "?" + urlencode(lookups)


def list_link(text: str, model: type[Model], **lookups: Any) -> str:
    """Return a link to a model's list, filtered by the lookups."""
    return format_html('<a href="{}">{}</a>', list_url(model, **lookups), text)


def objects_link(text: str, bucket_id: int) -> str:
    """Return a link to the list of the latest versions of a bucket's objects."""
    return list_link(text, Object, bucket__id__exact=bucket_id, is_latest__exact=1)


def moment(when: datetime) -> str:
    """Return a time in the site's time zone, to the second."""
    return format_html('<span style="white-space: nowrap">{}</span>', f"{localtime(when):%Y-%m-%d %H:%M:%S}")


def human_size(size: int) -> str:
    """Return a human-readable size, with the exact size as a tooltip."""
    return format_html('<span style="white-space: nowrap" title="{} bytes">{}</span>', size, filesizeformat(size))


def visible(text: str) -> str:
    """Return text with spaces preserved and unprintable characters escaped, because keys may contain any character."""
    style = "display: inline-block; min-width: 15em; white-space: pre-wrap; overflow-wrap: anywhere"
    return format_html('<span style="{}">{}</span>', style, printable(text))


def code(text: str) -> str:
    """Return text in a fixed-width font."""
    return format_html('<code style="white-space: nowrap; color: inherit">{}</code>', text) if text else ""
