"""Every example in docs/examples runs against a server of each kind, prints its expected lines, and cleans up."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..programs import ensure_program
from ..servers import ROOT, Server

EXAMPLES = ROOT / "docs" / "examples"

#: File and arguments -> regular expressions of whole lines that must be printed in this order.
EXPECTED: dict[str, list[str]] = {
    "basic_sdk.py": [
        "Bytes: Hello, post3!",
        "  20,971,520 of 20,971,520 bytes",
        "The file came back the same: True",
        "A stream of 8890 bytes; its first line is line 0",
        r"Everything: notes/hello.txt \(13\) notes/lines.txt \(8890\) videos/video.bin \(20971520\)",
        r"In the root: notes/ \(folder\)",
        r"In the root: videos/ \(folder\)",
        "By a presigned URL: Hello, post3!",
        "Not found: NoSuchKey",
        "Not deleted: BucketNotEmpty",
        "Deleted below notes/: 3",
        "The bucket is there: False",
    ],
    "metadata.py": [
        r"Stored: text/html; charset=utf-8 max-age=60 {'author': 'Ada', 'reviewed': 'no'} 15 bytes",
        r"Reviewed: {'author': 'Ada', 'reviewed': 'yes'} still text/html; charset=utf-8 and max-age=60",
        "The bytes are the same: True",
        "If it is there already: 412",
        "If nobody changed it: 200",
        "If it is new: 304",
    ],
    "plain_boto3.py": [
        "Bucket among the user's: True",
        "Object: meow {'taken-by': 'me'}",
        "Range: eo bytes 1-2/4",
        "Multipart upload came back the same: True",
        "Folders: 2025/ 2026/",
        "By a presigned URL: meow",
        "Deleted: 3",
    ],
    "async_client.py": [
        "At once: 100 objects, the last is object 99",
        "A stream of 12582912 bytes came back the same: True",
        "Listed: 100",
        "Not overwritten: it is there already",
        "By a presigned URL: object 7",
    ],
    "large_file.py 23M --part-size 5M --rounds 2": [
        "Round 1 of 2: 24,117,248 bytes in parts of 5,242,880",
        "ok   size 24,117,248",
        "ok   ETag [0-9a-f]{32}-5: every part's MD5",
        "ok   SHA-256 [0-9a-f]{64}",
        "ok   20 ranges",
        "ok   the copy's size",
        "ok   the copy's end",
        "ok   both deleted",
        "Round 2 of 2: 24,117,248 bytes in parts of 5,242,880",
        "ok   both deleted",
    ],
    "aws_cli.sh": [
        "make_bucket: example-cli-.*",
        "Listed:",
        ".* 10000000 documents/2026/large.bin",
        ".* 23 documents/hello.txt",
        "Everything came back the same",
        '"[0-9a-f]{32}"',
        "text/plain\tme",
        "By a presigned URL: Hello from the AWS CLI",
        "remove_bucket: example-cli-.*",
    ],
    "curl.sh": [
        "Signed GET: Hello from curl",
        "x-amz-meta-author: me",
        "Range: Hello",
        "Listed: notes/hello.txt",
        "Presigned GET: By a presigned URL",
        "Without a signature: 403",
        "Everything is deleted",
    ],
}
NAMES = sorted({command.split()[0] for command in EXPECTED})


def run_example(command: str, directory: Path, server: Server | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example as its README says, with a home directory without configuration."""
    name, *arguments = command.split()
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "POST3_"))}
    environment = {
        **inherited,
        # Without a key, botocore would request one from Amazon's instance metadata service.
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(directory),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }
    if server:
        environment["AWS_ENDPOINT_URL"] = server.url
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"] = server.access_key, server.secret_key
    interpreter = sys.executable if name.endswith(".py") else "sh"
    return subprocess.run(
        [interpreter, str(EXAMPLES / name), *arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", EXPECTED)
def test_example(command: str, server: Server, s3: Any, tmp_path: Path) -> None:
    if command.endswith(".sh"):
        ensure_program("curl", "curl")
    done = run_example(command, tmp_path, server)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = iter(done.stdout.splitlines())
    for pattern in EXPECTED[command]:
        assert any(re.fullmatch(pattern, line) for line in lines), f"{pattern!r} is missing, in this order, in\n{done.stdout}"
    assert not [entry["Name"] for entry in s3.list_buckets(Prefix="example-").get("Buckets", [])]


@pytest.mark.parametrize("name", NAMES)
def test_example_without_a_key_reports_it(name: str, tmp_path: Path) -> None:
    done = run_example(name, tmp_path)
    assert done.returncode != 0
    assert re.search("key|[Cc]redentials", done.stderr.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("arguments", ["12Q", "0", "64M --part-size 1M", "1T --part-size 5M"])
def test_large_file_with_an_invalid_size(arguments: str, tmp_path: Path) -> None:
    done = run_example(f"large_file.py {arguments}", tmp_path)
    assert done.returncode == 2
    assert "large_file.py: error:" in done.stderr.splitlines()[-1]


def test_readme_lists_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text()
    there = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")}
    assert there == set(NAMES)
    assert {name for name in there if f"`{name}`" not in text} == set()
    makefile = (ROOT / "Makefile").read_text()
    assert {name for name in there if f"docs/examples/{name}" not in makefile} == set()
