"""django-storages over HTTP, configured by the code block in docs/django-storages.md."""

import re
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import override_settings
from django.utils.module_loading import import_string

from tests.helpers import random_bytes
from tests.servers import ROOT, Server

PAGE = (ROOT / "docs" / "django-storages.md").read_text()


@pytest.fixture
def storage(server: Server, bucket: str) -> Any:
    """Return the storage that Django creates from the page's STORAGES, with this server's endpoint, key and bucket."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    values: dict[str, Any] = {}
    exec(block, values)
    entry = values["STORAGES"]["default"]
    own = {"bucket_name": bucket, "endpoint_url": server.url, "access_key": server.access_key, "secret_key": server.secret_key}
    assert own.keys() <= entry["OPTIONS"].keys()
    return import_string(entry["BACKEND"])(**{**entry["OPTIONS"], **own})


def test_files_over_http(storage: Any, server: Server) -> None:
    name = storage.save("reports/Jahr ü.txt", ContentFile(b"abc"))
    assert name == "reports/Jahr ü.txt" and storage.exists(name) and storage.size(name) == 3
    with storage.open(name) as file:
        assert file.read() == b"abc"
    assert storage.save(name, ContentFile(b"other")) != name
    assert storage.listdir("") == (["reports"], [])
    assert len(storage.listdir("reports")[1]) == 2
    with override_settings(USE_TZ=True):
        assert abs((datetime.now(UTC) - storage.get_modified_time(name)).total_seconds()) < 300
    url = storage.url(name)
    assert url.startswith(f"{server.url}/")
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"abc", "text/plain")
    storage.delete(name)
    assert not storage.exists(name)


def test_a_large_file_is_transferred_in_parts_both_ways(storage: Any) -> None:
    data = random_bytes(20_480_000)  # above the 8 MiB from which boto3 uploads in parts
    with storage.open("written", "wb") as file:
        file.write(data)
    for name in (storage.save("big", ContentFile(data)), "written"):
        with storage.open(name) as file:
            file.seek(19_000_000)
            assert file.read(1000) == data[19_000_000:19_001_000]
            file.seek(0)
            assert b"".join(file.chunks()) == data
