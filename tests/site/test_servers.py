"""The server as a whole: health, the console's files, each way of running it."""

import urllib.request
from collections.abc import Callable

import pytest

from tests.servers import RUNNERS, Server


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, response.headers["content-type"]


def test_console_has_its_files_without_collectstatic(server: Server) -> None:
    status, content_type = get(f"{server.url}/_/static/admin/css/base.css")
    assert (status, content_type.split(";")[0]) == (200, "text/css")
    assert get(f"{server.url}/_/admin/login/")[0] == 200


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-blocks"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_way_of_serving_puts_lists_and_gets(make_server: Callable[..., Server], runner: str, kind: str) -> None:
    server = make_server(kind, runner=runner)
    s3 = server.client()
    s3.create_bucket(Bucket="runner")
    for size in (0, 10, 300_000, 9_000_000):
        body = bytes(size % 251 for _ in range(size))
        s3.put_object(Bucket="runner", Key=f"a+b/{size} ü", Body=body, Metadata={"my_key": "1", "my-other": "2"})
        answer = s3.get_object(Bucket="runner", Key=f"a+b/{size} ü")
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"my_key": "1", "my-other": "2"}
    assert [entry["Size"] for entry in s3.list_objects_v2(Bucket="runner")["Contents"]] == [0, 10, 300_000, 9_000_000]
    server.stop()
