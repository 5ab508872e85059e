"""The example project: post3 under a prefix of another project's URLs, and uploads in the transaction of their rows."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from .. import starting
from ..cluster import create_database, drop_database
from ..servers import ROOT, free_port

PROJECT = ROOT / "docs" / "examples" / "django_project"
RUNSERVER = "django runserver --noreload 127.0.0.1:{port}"
SERVERS = {
    "uvicorn on SQLite and files": "uvicorn --host 127.0.0.1 --port {port} --no-access-log project.asgi:application",
    "gunicorn's WSGI on PostgreSQL and blocks": "gunicorn --bind 127.0.0.1:{port} --threads 8 project.wsgi",
}


class Copy:
    """A copy of the example."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(PROJECT, directory / "copy", ignore=shutil.ignore_patterns("__pycache__", "var"))
        inherited = {
            name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")
        }
        self.environment = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(directory / "data"),
            "MAX_DOCUMENTS": "3",
        }

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the project."""
        path = self.directory / "copy" / "project" / name
        assert old in path.read_text(), (name, old)
        path.write_text(path.read_text().replace(old, new))

    def manage(self, *arguments: str) -> str:
        done = starting.run("manage.py", *arguments, environment=self.environment, directory=self.directory / "copy")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Project(Copy):
    """A copy of the example, migrated and running."""

    def __init__(self, directory: Path, server: str, database_url: str) -> None:
        super().__init__(directory)
        self.database_url, port = database_url, free_port()
        self.url, self.log_path = f"http://127.0.0.1:{port}", directory / "server.log"
        self.environment["PUBLIC_ORIGIN"] = f"{self.url}/s3"
        if database_url:
            self.environment["DATABASE_URL"] = database_url
        self.manage("check", "--fail-level", "WARNING")
        self.manage("migrate", "-v", "0")
        assert "No changes" in self.manage("makemigrations", "--check", "--dry-run")
        lines = self.manage("create_api_key", "--user", "tester", "--create-user")
        self.key, self.secret = re.findall(r"^export \w+=(\w+)$", lines, re.MULTILINE)
        with open(self.log_path, "wb") as log:
            command = [sys.executable, "-m", *server.format(port=port).split()]
            self.process = subprocess.Popen(
                command, cwd=directory / "copy", env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.http = urllib3.PoolManager(retries=False)
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log_path.read_text()
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return self.http.request("GET", f"{self.url}/s3/_/health/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def client(self) -> Any:
        config = Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 1})
        return boto3.client(
            "s3",
            endpoint_url=f"{self.url}/s3",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=config,
        )

    def upload(self, **files: bytes) -> urllib3.BaseHTTPResponse:
        """Submit the page's form as a browser does."""
        page = self.http.request("GET", self.url)
        assert page.status == 200, self.log_path.read_text()
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.data.decode())
        assert token is not None
        fields = [("csrfmiddlewaretoken", token[1])]
        fields += [("files", (f"{name}.txt", data, "text/plain")) for name, data in files.items()]
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        return self.http.request("POST", self.url, fields=fields, headers={"Cookie": cookie}, redirect=False)

    def kept(self) -> dict[str, Any]:
        """Return the stored keys according to S3, and the stored files, or how much is in each table."""
        keys = [entry["Key"] for entry in self.client().list_objects_v2(Bucket="documents").get("Contents", [])]
        if self.database_url:
            with psycopg.connect(self.database_url) as connection:
                query = (
                    "SELECT (SELECT count(*) FROM post3_blob), (SELECT count(*) FROM post3_block), "
                    "(SELECT sum(length(data)) FROM post3_object)"
                )
                return {"keys": keys, "rows": connection.execute(query).fetchone()}
        files = [path for path in (self.directory / "data" / "objects").rglob("*") if path.is_file()]
        return {"keys": keys, "files": sorted(map(str, files))}


@pytest.fixture(params=SERVERS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    cluster = os.environ["POST3_TEST_POSTGRESQL_URL"] if "PostgreSQL" in request.param else ""
    url = create_database(cluster) if cluster else ""
    running = Project(tmp_path, SERVERS[request.param], url)
    yield running
    running.process.terminate()
    running.process.wait(30)
    if url:
        drop_database(cluster, url)


def test_s3_under_a_prefix_and_uploads_in_transactions(project: Project) -> None:
    s3 = project.client()
    s3.create_bucket(Bucket="mounted")
    for size in (0, 10, 9_000_000):
        s3.put_object(Bucket="mounted", Key=f"a b/{size} ü", Body=b"x" * size, Metadata={"my-key": "1"})
        answer = s3.get_object(Bucket="mounted", Key=f"a b/{size} ü")
        assert answer["Body"].read() == b"x" * size and answer["Metadata"] == {"my-key": "1"}
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "mounted", "Key": "a b/10 ü"})
    assert project.http.request("GET", url).data == b"x" * 10
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="mounted", Key="nothing")
    page = project.http.request("GET", f"{project.url}/s3/_/admin/login/")
    assert page.status == 200 and b"<title>Log in | post3</title>" in page.data
    root = project.http.request("GET", f"{project.url}/s3/", headers={"Accept": "text/html"}, redirect=False)
    assert (root.status, root.headers["Location"]) == (302, "/s3/_/admin/")
    headers = project.http.request("GET", url).headers
    assert (headers["Content-Security-Policy"], headers["X-Content-Type-Options"]) == ("sandbox", "nosniff")

    assert project.upload(one=b"first", two=b"y" * 3_000_000).status == 302
    page = project.http.request("GET", project.url).data.decode()
    links = {name: link.replace("&amp;", "&") for link, name in re.findall(r'<a href="([^"]+)">([\w.]+)</a>', page)}
    assert set(links) == {"one.txt", "two.txt"} and "3000000 bytes" in page
    assert all(link.startswith(f"{project.url}/s3/documents/") for link in links.values())
    answer = project.http.request("GET", links["one.txt"])
    assert (answer.status, answer.data, answer.headers["Content-Type"]) == (200, b"first", "text/plain")
    assert project.http.request("GET", links["two.txt"]).data == b"y" * 3_000_000
    assert project.http.request("GET", links["one.txt"].replace("one", "two")).status == 403

    before = project.kept()
    assert len(before["keys"]) == 2
    refused = project.upload(three=b"third", four=b"z" * 3_000_000, five=b"")
    assert refused.status == 409 and b"nothing was stored" in refused.data
    assert project.kept() == before
    assert project.upload(three=b"third").status == 302
    assert len(project.kept()["keys"]) == 3


def test_runserver_serves_the_pages_and_says_what_s3_needs(tmp_path: Path) -> None:
    """Django's own development server hides the path as sent, which signatures cover."""
    running = Project(tmp_path, RUNSERVER, "")
    try:
        assert running.upload(one=b"first").status == 302
        answer = running.http.request("GET", f"{running.url}/s3/documents/one.txt")
        assert answer.status == 400 and b"does not tell the path as sent" in answer.data
    finally:
        running.process.terminate()
        running.process.wait(30)


@pytest.mark.parametrize(
    ("line", "check_id"),
    [
        ("POST3_TREADS = 8", "post3.E009"),
        ("POST3_THREADS = '8'", "post3.E010"),
        ("POST3_BODY_TIMEOUT = float('nan')", "post3.E010"),
        ("POST3_MIN_PART_SIZE = 10**13", "post3.E015"),
    ],
)
def test_a_wrong_setting_of_a_project_stops_servers_and_commands_with_a_sentence(
    line: str, check_id: str, tmp_path: Path
) -> None:
    copy = shutil.copytree(PROJECT, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__", "var"))
    with open(copy / "project" / "settings.py", "a") as settings:
        settings.write(f"\n{line}\n")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path)}
    for way in ("uvicorn --port 1 project.asgi:application", "gunicorn -b 127.0.0.1:1 project.wsgi", "django check"):
        done = starting.run("-m", *way.split(), environment=environment, directory=copy, timeout=60)
        assert done.returncode != 0
        assert re.findall(r"post3\.E\d+", done.stdout + done.stderr) == [check_id], way
        assert "Traceback" not in done.stderr


LOGIN = """
import re
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from post3.models import Bucket
get_user_model().objects.create_superuser("boss", password="only for tests")
client = Client(SERVER_NAME="localhost")
client.force_login(get_user_model().objects.get(username="boss"))
own, console = (client.get(path).content.decode() for path in ("/admin/", "/s3/_/admin/"))
assert "Django administration" in own and "Object storage" not in own and "/admin/auth/user/" in own, own
assert "Object storage" in console and "/s3/_/admin/post3/bucket/" in console and "/auth/user/" not in console, console
assert "/s3/_/admin/logout/" in console and '"/admin/' not in console, console
assert not any(model._meta.app_label == "post3" for model in admin.site._registry)
for path in ("bucket/", "apikey/", "apikey/add/", "multipartupload/", "blob/"):
    page = client.get(f"/s3/_/admin/post3/{path}").content.decode()
    assert '"/admin/' not in page and "/s3/_/admin/" in page, page
made = client.post("/s3/_/admin/post3/apikey/add/", {"user": get_user_model().objects.get(username="boss").pk, "name": "x"})
page = made.content.decode()
assert "AWS_SECRET_ACCESS_KEY=" in page and '"/admin/' not in page and "/s3/_/admin/" in page, page
print("as it should be")
"""


def test_a_projects_own_admin_is_left_alone(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.manage("migrate", "-v", "0")
    assert "as it should be" in copy.manage("shell", "-v", "0", "-c", LOGIN)


def test_s3_without_the_console_needs_no_admin(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.edit("settings.py", '    "django.contrib.admin",\n', "")
    copy.edit("settings.py", '    "django.contrib.messages",\n', "")
    copy.edit("settings.py", '    "django.contrib.messages.middleware.MessageMiddleware",\n', "")
    copy.edit("settings.py", '                "django.contrib.messages.context_processors.messages",\n', "")
    copy.edit("urls.py", '    path("s3/", include("post3.console_urls")),\n', "")
    copy.edit("urls.py", '    path("admin/", admin.site.urls),\n', "")
    copy.edit("urls.py", "from django.contrib import admin\n", "")
    copy.manage("check", "--fail-level", "WARNING")
    copy.manage("migrate", "-v", "0")
    asking = """
from post3.handlers import get_wsgi_application
application, told = get_wsgi_application(), []
def ask(path, **extra):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "RAW_URI": path, "SCRIPT_NAME": "", "SERVER_NAME": "localhost",
               "SERVER_PORT": "80", "HTTP_HOST": "localhost", "wsgi.input": __import__("io").BytesIO(), "wsgi.url_scheme": "http"}
    body = b"".join(application({**environ, **extra}, lambda status, headers: told.append((status, dict(headers)))))
    return told[-1][0], body
status, body = ask("/s3/", HTTP_ACCEPT="text/html")
assert status.startswith("403") and b"<Code>AccessDenied</Code>" in body, (status, body)
assert ask("/s3/_/health/ready")[0].startswith("200")
assert ask("/s3/_/admin/")[0].startswith("404")
assert __import__("sys").modules.get("post3.admin") is None
print("as it should be")
"""
    assert "as it should be" in copy.manage("shell", "-v", "0", "-c", asking)
