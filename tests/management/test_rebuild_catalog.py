"""`manage.py rebuild_catalog` over HTTP: after a lost catalogue is rebuilt, all responses are the same as before."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from post3.maintenance.rebuild.rebuilding import Rebuild, RebuildRefused
from post3.management.commands import rebuild_catalog as command
from post3.storage import StorageError

from .. import starting
from ..cluster import create_database
from ..conftest import POSTGRESQL_URL
from ..operations.multipart import begin, complete, send, upload
from ..servers import Server

#: Headers that differ between any two responses.
VARYING = {"date", "x-amz-request-id", "x-amz-id-2"}


def lose_catalogue(server: Server) -> None:
    """Stop the server and give it an empty catalogue. The files stay."""
    server.stop()
    if "DATABASE_URL" in server.environment:
        server.environment["DATABASE_URL"] = create_database(POSTGRESQL_URL)
    else:
        for path in (server.data_dir / "var").glob("catalogue.sqlite3*"):
            path.unlink()
    server.manage("migrate", "--no-input", "-v", "0")


def rebuild(server: Server, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the command. Return its exit status and its JSON output."""
    done = starting.run("manage.py", "rebuild_catalog", "--json", *options, environment=server.environment)
    assert done.returncode in (0, 2), done.stderr
    return done.returncode, json.loads(done.stdout)


def with_new_keys(server: Server, *users: str) -> list[Any]:
    """Create a key for each user, all in one process. Return a client for each."""
    calls = [f"call_command('create_api_key', '--user', {user!r}, '--create-user', '--json')" for user in users]
    program = "\n".join(["import django", "django.setup()", "from django.core.management import call_command", *calls])
    environment = {**server.environment, "DJANGO_SETTINGS_MODULE": "post3_site.settings"}
    done = starting.run("-c", program, environment=environment)
    done.check_returncode()
    clients = []
    for line in done.stdout.splitlines():
        key = json.loads(line)
        server.access_key, server.secret_key = key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]
        clients.append(server.client())
    return clients


def without_varying(answer: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in answer["ResponseMetadata"]["HTTPHeaders"].items() if name not in VARYING}
    return {**answer, "ResponseMetadata": headers}


def seen_by(s3: Any) -> dict[str, Any]:
    """Return everything that a user can see of their own buckets and objects."""
    seen: dict[str, Any] = {"buckets": without_varying(s3.list_buckets())}
    for bucket in [entry["Name"] for entry in seen["buckets"]["Buckets"]]:
        entries = [
            entry
            for page in s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, FetchOwner=True, PaginationConfig={"PageSize": 7}
            )
            for entry in page.get("Contents", [])
        ]
        seen[bucket] = [without_varying(s3.get_bucket_location(Bucket=bucket)), entries]
        for key in [entry["Key"] for entry in entries]:
            head = without_varying(s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED"))
            first = without_varying(s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", PartNumber=1))
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            seen[bucket].append([key, head, first, hashlib.sha256(body).hexdigest()])
    return seen


def fill(s3: Any, other: Any) -> None:
    """Create one object of each kind, and delete another of each kind."""
    for bucket in ("full", "gone", "empty"):
        s3.create_bucket(Bucket=bucket)
    s3.create_bucket(Bucket="abroad", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    other.create_bucket(Bucket="of-the-other")
    for key in ("a", "a/", "a/b", "../x", "ü" * 512, "new\nline", "~%2F.json"):
        s3.put_object(Bucket="full", Key=key, Body=key.encode())
    other.put_object(Bucket="full", Key="by the other", Body=b"x")
    s3.put_object(Bucket="full", Key="nothing", Body=b"")
    s3.put_object(Bucket="full", Key="large", Body=os.urandom(2_500_000), Metadata={"taken-by": 'me = "you"', "empty": ""})
    s3.put_object(
        Bucket="full",
        Key="headers",
        Body=b"<p>",
        ContentType="text/html",
        ContentEncoding="br",
        ContentDisposition="inline",
        ContentLanguage="de",
        CacheControl="no-store",
        Expires="Thu, 01 Dec 2033 16:00:00 GMT",
    )
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        s3.put_object(Bucket="full", Key=f"sums/{algorithm}", Body=b"x" * 1000, ChecksumAlgorithm=algorithm)
    parts = {1: os.urandom(1_200_000), 7: b"two", 9: b""}
    upload(s3, "full", "parts/plain", parts)
    for checksum_type, algorithm in (("COMPOSITE", "SHA256"), ("FULL_OBJECT", "CRC32")):
        named = {"Bucket": "full", "Key": f"parts/{algorithm}"}
        asked = {"ChecksumAlgorithm": algorithm, "ChecksumType": checksum_type, "Metadata": {"a": "b"}, "ContentType": "text/css"}
        upload_id = begin(s3, *named.values(), **asked)
        sent = send(s3, *named.values(), upload_id, parts, ChecksumAlgorithm=algorithm)
        complete(s3, *named.values(), upload_id, sent)
    for key in ("large", "parts/SHA256"):
        s3.copy_object(Bucket="abroad", Key=f"copy of {key}", CopySource={"Bucket": "full", "Key": key})
    upload(s3, "gone", "parts", parts)
    s3.put_object(Bucket="gone", Key="single", Body=b"from a bucket that is gone")
    for key in ("parts", "single"):
        s3.copy_object(Bucket="full", Key=f"kept/{key}", CopySource={"Bucket": "gone", "Key": key})
        s3.delete_object(Bucket="gone", Key=key)
    s3.delete_bucket(Bucket="gone")
    for number in range(3):
        s3.put_object(Bucket="full", Key="overwritten", Body=b"%d" % number)
        s3.put_object(Bucket="full", Key=f"deleted {number}", Body=b"x")
    s3.delete_object(Bucket="full", Key="deleted 0")
    s3.delete_objects(Bucket="full", Delete={"Objects": [{"Key": f"deleted {number}"} for number in (1, 2)]})
    s3.create_multipart_upload(Bucket="full", Key="never completed")


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-files"])
def test_rebuild_catalog_restores_everything(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server(kind, environment={"POST3_STORAGE": "filesystem", "POST3_MIN_PART_SIZE": "1"})
    s3, (other,) = server.client(), with_new_keys(server, "other")
    fill(s3, other)
    before = seen_by(s3), seen_by(other)
    lose_catalogue(server)
    status, told = rebuild(server, "--verify")
    assert (status, told["lost"], told["faults"]) == (0, 0, [])
    assert told["users"] == {"1": "tester", "2": "other"} and told["buckets"] == 4
    assert told["objects"] == sum(len(seen[1]) for seen in before[0].values() if isinstance(seen, list)) > 20
    s3, other = with_new_keys(server, "tester", "other")
    server.run()
    assert (seen_by(s3), seen_by(other)) == before
    # The rebuilt catalogue works like any other.
    for bucket in ("full", "empty"):
        s3.put_object(Bucket=bucket, Key="a", Body=b"new")
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"new"
    s3.delete_object(Bucket="empty", Key="a")
    s3.delete_bucket(Bucket="empty")


def run_in_process(monkeypatch: pytest.MonkeyPatch, outcome: Callable[[Rebuild], None], *options: str) -> None:
    monkeypatch.setattr(command, "rebuild_catalog", outcome)
    call_command("rebuild_catalog", *options)


def losing(rebuild: Rebuild) -> None:
    rebuild.counts.objects, rebuild.users[7] = 1234, "tester"
    rebuild.fault("bucket/00/k\x1b[2J.0", "torn")
    rebuild.fault("lost+found", "not a file that post3 created", is_loss=False)


def test_rebuild_catalog_reports_what_was_not_restored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_in_process(monkeypatch, losing)
    assert ended.value.code == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["bucket/00/k\\x1b[2J.0: torn", "lost+found: not a file that post3 created"]
    assert "1,234 objects" in lines[2] and lines[-1] == "1 item not fully restored"
    assert "tester" in lines[3] and "create_api_key" in lines[4]


def test_rebuild_catalog_that_is_impossible_prints_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(error: Exception) -> Callable[[Rebuild], None]:
        def outcome(rebuild: Rebuild) -> None:
            raise error

        return outcome

    for error, line in (
        (RebuildRefused("The catalogue already has buckets."), "The catalogue already has buckets."),
        (
            StorageError("cannot list /x: gone"),
            "The rebuild could not be finished; run it again: cannot list /x: gone",
        ),
    ):
        with pytest.raises(CommandError, match=f"^{re.escape(line)}$"):
            run_in_process(monkeypatch, refuse(error))
