"""Single operations on a full catalogue: a root of ten million keys, the console, a completed upload, a 5 GiB copy."""

import hashlib
import http.cookiejar
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from tests.servers import Server

from .filling import Filling
from .load import Request
from .stand import Line, ask, send, signer_of

#: Seconds that any of these may take.
TARGET = 1.0
USER, PASSWORD = "admin", "only-for-benchmarks"
#: The size and number of parts of a multipart upload.
SIZE, PARTS = 5 << 30, 1000
REPEATS = 5


def timed(what: str, call: Callable[[], object]) -> Line:
    """Call a function several times. The slowest call, usually the first, is compared with the target."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    figures = {"first, ms": times[0] * 1e3, "median, ms": median(times) * 1e3, "slowest, ms": max(times) * 1e3}
    return Line(what, figures, f"under {TARGET:g} s", max(times) < TARGET)


def root_listing(server: Server, filling: Filling) -> Line:
    """List the common prefixes at the root, over HTTP on one connection."""
    head = signer_of(server).head("GET", f"/{filling.bucket}", {"list-type": "2", "delimiter": "/"})
    answer = server.client().list_objects_v2(Bucket=filling.bucket, Delimiter="/")
    found = [entry["Prefix"] for entry in answer["CommonPrefixes"]]
    assert found == [f"d{top:04}/" for top in range(filling.tops)], found
    outcome = send(server, [Request(head)], connections=1, seconds=2)
    figures: dict[str, float | str] = {"median, ms": outcome.p50 * 1e3, "slowest, ms": outcome.p99 * 1e3}
    what = f"LIST delimiter at the root: {filling.tops} prefixes over {filling.objects:,} keys (p50 and p99)"
    return Line(what, figures, f"under {TARGET:g} s", outcome.p99 < TARGET)


def explain(server: Server, filling: Filling) -> str:
    """Return auto_explain's output for the root listing, run by the server's own code in this process."""
    names = [name for name in os.environ if name.startswith("POST3_")]
    for name in names:
        del os.environ[name]
    os.environ.update({name: text for name, text in server.environment.items() if name.startswith(("POST3_", "DATABASE_URL"))})
    os.environ["DJANGO_SETTINGS_MODULE"] = "post3_site.settings"
    import django

    django.setup()
    from django.db import connection

    from post3.services.listings import list_objects

    plans: list[str] = []
    connection.ensure_connection()
    raw = connection.connection
    raw.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    raw.execute("LOAD 'auto_explain'")
    for name in ("log_analyze", "log_buffers", "log_nested_statements"):
        raw.execute(f"SET auto_explain.{name} = on")
    raw.execute("SET auto_explain.log_min_duration = 0")
    raw.execute("SET client_min_messages = log")
    # From the sixth execution on, PostgreSQL may choose a plan that ignores the parameters.
    runs = []
    for _ in range(8):
        plans.clear()
        list_objects(filling.bucket, "", "/", "", 1000, skip_marker_prefix=False)
        whole = next(plan for plan in plans if "Function Scan on post3_list_rolled_up" in plan)
        runs.append("\n".join([whole, *(plan for plan in plans if "INTO" not in plan and "FROM post3_object o" in plan)]))
    connection.close()
    heading = f"{filling.tops} common prefixes at the root of a bucket of {filling.objects:,} keys, by auto_explain"
    told = f"{heading}\n\n-- the first run\n{runs[0]}\n\n-- the eighth run, prepared\n{runs[-1]}\n"
    return re.sub(r"\U0010ffff+", lambda found: f"{len(found[0])} times U+10FFFF", told)  # sorts after every key


def summary_of(plan: str) -> dict[str, Any]:
    """Extract the pages touched and the sequential scans of large tables from auto_explain's output."""
    runs = plan.split("-- the eighth run", 1)
    pages = []
    for run in runs:
        found = re.search(r"Buffers: shared([^\n]*)", run)
        pages.append(sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", found[1])) if found else -1)
    return {"pages_first": pages[0], "pages_prepared": pages[-1], "sequential_scans": len(re.findall("Seq Scan on post3_", plan))}


def console(server: Server, large: Filling) -> list[Line]:
    """Time pages of the admin, with an HTTP login as in a browser."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    base = f"{server.console_url}/_/admin/"

    def page(path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        with opener.open(base + path, data, timeout=60) as response:
            return response.read().decode()

    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page("login/"))
    assert token, "the console has no login form"
    page("login/", {"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/_/admin/"})
    bucket = ask(server, "SELECT id FROM post3_bucket WHERE name = %s", [large.bucket])[0][0]
    latest = f"post3/object/?bucket__id__exact={bucket}&is_latest__exact=1"
    middle = large.key(large.objects // 2)
    first = page(latest)
    following = re.search(r'href="\?([^"]*\bp=[^"]+)"', first)
    detail = re.search(r'href="(/_/admin/post3/object/\d+/change/[^"]*)"', first)
    assert following and detail, "the first page of objects has no objects or no next page"
    addresses = {
        "first page of objects": (latest, large.key(0)),
        "next page": (f"post3/object/?{following[1].replace('&amp;', '&')}", large.key(100)),
        "search by prefix": (f"{latest}&q={urllib.parse.quote(middle[:8])}", middle[:8]),
        "all versions": (f"post3/object/?bucket__id__exact={bucket}", large.key(0)),
        "one object": (detail[1].removeprefix("/_/admin/").replace("&amp;", "&"), large.key(0)),
        "buckets": ("post3/bucket/", large.bucket),
    }
    lines = []
    for what, (address, text) in addresses.items():
        assert text in page(address), f"{what}: no {text} on {address}"
        lines.append(timed(f"Console: {what}", partial(page, address)))
    return lines


def multipart(server: Server) -> tuple[list[Line], dict[str, Any]]:
    """Complete an upload of 1,000 parts, 5 GiB in total, and copy the object."""
    # If boto3 adds no checksums, the upload uses the ones of plain PUTs, and parts are copied by reference.
    client = server.client(request_checksum_calculation="when_required")
    client.create_bucket(Bucket="multipart")
    signer = signer_of(server)
    size = SIZE // PARTS + 1
    bodies = {"part": bytes(size), "last": bytes(SIZE - size * (PARTS - 1))}
    etags = {key: hashlib.md5(body).hexdigest() for key, body in bodies.items()}
    puts = [
        Request(signer.head("PUT", f"/multipart/{key}", None, hashlib.sha256(body).hexdigest(), len(body)), body, length=0)
        for key, body in bodies.items()
    ]
    send(server, puts)
    sources = ["part"] * (PARTS - 1) + ["last"]
    listed = [{"PartNumber": number, "ETag": etags[source]} for number, source in enumerate(sources, 1)]
    waiting = []
    for number in range(REPEATS):
        upload = client.create_multipart_upload(Bucket="multipart", Key=f"large-{number}")["UploadId"]
        copies = []
        for part, source in enumerate(sources, 1):
            query = {"partNumber": str(part), "uploadId": upload}
            header = {"x-amz-copy-source": f"/multipart/{source}"}
            copies.append(Request(signer.head("PUT", f"/multipart/large-{number}", query, None, 0, header)))
        send(server, copies)
        waiting.append((f"large-{number}", upload))

    def complete() -> None:
        key, upload = waiting.pop()
        client.complete_multipart_upload(Bucket="multipart", Key=key, UploadId=upload, MultipartUpload={"Parts": listed})

    made = iter(range(REPEATS))

    def copy() -> None:
        client.copy_object(Bucket="multipart", Key=f"copy-{next(made)}", CopySource={"Bucket": "multipart", "Key": "large-0"})

    completed = timed(f"CompleteMultipartUpload of {PARTS:,} parts, 5 GiB", complete)
    before = _sizes(server)
    copied = timed("CopyObject of these 5 GiB", copy)
    after = _sizes(server)
    assert client.head_object(Bucket="multipart", Key="copy-0")["ContentLength"] == SIZE
    across = client.get_object(Bucket="multipart", Key="copy-0", Range=f"bytes={size - 10}-{size + 9}")["Body"].read()
    assert across == bytes(20), "the copy's bytes differ from its source"
    return [completed, copied], {"before": before, "after": after, "copies": REPEATS}


def _sizes(server: Server) -> dict[str, int]:
    sizes = ask(server, "SELECT pg_database_size(current_database()), pg_total_relation_size('post3_block')")[0]
    return {"database": sizes[0], "blocks": sizes[1]}
