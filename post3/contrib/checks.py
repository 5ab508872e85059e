"""System checks of each `Post3Storage`: those in STORAGES and those passed to a FileField."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.files.storage import default_storage
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import FileField
from django.utils.module_loading import import_string

from ..catalogue.buckets import load_bucket
from ..conf import conf
from ..declaring import is_origin
from ..errors import NoSuchBucket
from ..s3.names import is_valid_name
from ..s3.signature import MAX_EXPIRES
from .storage import Post3Storage

_ORIGIN_HINT = 'Write scheme, host and the path that post3 is mounted at, like "https://example.com/s3".'


@register("post3")
def check_file_storages(**kwargs: Any) -> list[CheckMessage]:
    """Check the options of every Post3Storage."""
    found = [error for alias, options in _configured() for error in _check_options(alias, options)]
    return found or [message for where, storage in _storages() for message in _check(where, storage)]


@register(Tags.database, "post3")
def check_buckets(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that each Post3Storage's bucket exists or may be created. Does nothing before the catalogue is created."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    if "post3_bucket" not in connections[DEFAULT_DB_ALIAS].introspection.table_names():
        return []
    return [_missing(where, storage) for where, storage in _storages() if not storage.create_bucket and not _exists(storage)]


def _exists(storage: Post3Storage) -> bool:
    try:
        load_bucket(storage.bucket)
    except NoSuchBucket:
        return False
    return True


def _missing(where: str, storage: Post3Storage) -> CheckMessage:
    hint = 'Make it with any S3 client, or write "create_bucket": True.'
    return Warning(f"The bucket {storage.bucket!r} of {where} does not exist.", hint=hint, id="post3.W061")


def _configured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the OPTIONS of each Post3Storage in STORAGES, without instantiating it."""
    for alias, entry in settings.STORAGES.items():
        try:
            backend = import_string(entry["BACKEND"])
        except (ImportError, KeyError, TypeError):
            continue  # Django reports it
        if isinstance(backend, type) and issubclass(backend, Post3Storage):
            yield f"STORAGES[{alias!r}]", {"__class__": backend, **(entry.get("OPTIONS") or {})}


def _check_options(where: str, options: dict[str, Any]) -> list[CheckMessage]:
    backend, given = options["__class__"], {name: value for name, value in options.items() if name != "__class__"}
    try:
        inspect.signature(backend.__init__).bind(None, **given)  # the class itself is deconstructible and accepts anything
    except TypeError as error:
        hint = f"Post3Storage knows {', '.join(list(inspect.signature(Post3Storage.__init__).parameters)[1:])}."
        return [Error(f"The OPTIONS of {where} do not fit: {error}.", hint=hint, id="post3.E061")]
    return []


def _storages() -> Iterator[tuple[str, Post3Storage]]:
    for where, options in _configured():
        yield where, options.pop("__class__")(**options)
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, FileField) and field.storage is not default_storage and isinstance(field.storage, Post3Storage):
                yield f"the storage of {model._meta.label}.{field.name}", field.storage


def _check(where: str, storage: Post3Storage) -> Iterator[CheckMessage]:
    if not isinstance(storage.bucket, str) or not is_valid_name(storage.bucket):
        hint = 'Write "bucket": 3 to 63 small letters, digits, dashes and dots.'
        yield Error(f"{where} has the bucket {storage.bucket!r}.", hint=hint, id="post3.E062")
    location = storage.location
    if not isinstance(location, str) or {".", "..", ""} & set(location.strip("/").split("/")) - ({""} if not location else set()):
        hint = 'Write "location" as a path without empty steps, "." and "..", like "media", or leave it out.'
        yield Error(f"{where} has the location {location!r}.", hint=hint, id="post3.E063")
    if not isinstance(storage.expires, int) or isinstance(storage.expires, bool) or not 1 <= storage.expires <= MAX_EXPIRES:
        hint = f'Write "expires" in seconds, 1 to {MAX_EXPIRES} (a week).'
        yield Error(f"{where} has URLs that expire after {storage.expires!r}.", hint=hint, id="post3.E064")
    for name in ("create_bucket", "allow_overwrite"):
        if not isinstance(getattr(storage, name), bool):
            yield Error(f'"{name}" of {where} is {getattr(storage, name)!r}.', hint="Write True or False.", id="post3.E065")
    for name in ("owner", "access_key"):
        if not isinstance(getattr(storage, name), str):
            yield Error(f'"{name}" of {where} is no text.', hint="Write a name in quotes.", id="post3.E065")
    if storage.storage_class not in conf.STORAGES:
        hint = f"POST3_STORAGES has {', '.join(conf.STORAGES)}."
        yield Error(f"{where} has the storage class {storage.storage_class!r}.", hint=hint, id="post3.E066")
    if storage.public_origin and not is_origin(storage.public_origin):
        yield Error(f"{where} has the public_origin {storage.public_origin!r}.", hint=_ORIGIN_HINT, id="post3.E067")
    elif not storage.public_origin and not conf.PUBLIC_ORIGIN:
        hint = f"Set POST3_PUBLIC_ORIGIN, or public_origin among the OPTIONS. {_ORIGIN_HINT}"
        yield Warning(f"{where} has no public_origin, so its files have no URLs.", hint=hint, id="post3.W060")
