"""A database outage: clear responses meanwhile, full recovery without a restart, no acknowledged write lost."""

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from tests.cluster import Cluster, create_database, own_cluster
from tests.helpers import read, refusal
from tests.raw import RawClient, connect, read_response
from tests.servers import ROOT, Server, free_port

MIB = 1 << 20
BUCKET = "outage"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster(port=free_port()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def served(cluster: Cluster, make_server: Callable[..., Server]) -> Iterator[Server]:
    url = f"{create_database(cluster.url)}?connect_timeout=2"
    server = make_server(
        "own-cluster", runner="gunicorn-asgi", environment={"DATABASE_URL": url, "POST3_GARBAGE_GRACE_SECONDS": "0"}
    )
    server.client().create_bucket(Bucket=BUCKET)
    server.client().put_object(Bucket=BUCKET, Key="small", Body=b"small")
    server.client().put_object(Bucket=BUCKET, Key="large", Body=large())
    yield server
    server.stop()


def large() -> bytes:
    return b"".join(number.to_bytes(4, "big") * (MIB // 4) for number in range(24))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def all_kinds(s3: Any) -> list[Callable[[], Any]]:
    def get(key: str, **arguments: str) -> bytes:
        return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()

    return [
        partial(get, "small"),
        partial(get, "large", Range="bytes=5000000-5000009"),
        partial(s3.head_object, Bucket=BUCKET, Key="small"),
        partial(s3.put_object, Bucket=BUCKET, Key="new", Body=b"new"),
        partial(s3.put_object, Bucket=BUCKET, Key="new", Body=b"new" * MIB),
        partial(s3.list_objects_v2, Bucket=BUCKET),
        partial(s3.delete_object, Bucket=BUCKET, Key="new"),
        partial(s3.create_multipart_upload, Bucket=BUCKET, Key="new"),
        partial(s3.list_buckets),
    ]


def test_requests_are_refused_without_the_database_and_served_with_it(cluster: Cluster, served: Server) -> None:
    s3 = served.client()
    logged = len(served.log())
    cluster.stop()
    try:
        for call in all_kinds(s3) * 2:
            began = time.monotonic()
            with pytest.raises(ClientError) as caught:
                call()
            metadata = caught.value.response["ResponseMetadata"]
            assert metadata["HTTPStatusCode"] == 503 and metadata["HTTPHeaders"]["retry-after"] == "2"
            assert caught.value.response["Error"]["Code"] in ("ServiceUnavailable", "503")  # HEAD has no body
            assert time.monotonic() - began < 5
        assert status_of(f"{served.url}/_/health/ready") == 503
        assert status_of(f"{served.url}/_/health/live") == 200
    finally:
        cluster.start()
    deadline = time.monotonic() + 20
    while status_of(f"{served.url}/_/health/ready") != 200 or refused(s3):
        assert time.monotonic() < deadline, "the server did not recover"
        time.sleep(0.2)
    time.sleep(1)  # the other process may refuse requests for this long after its last attempt
    with ThreadPoolExecutor(16) as threads:  # each call once on every thread
        answers = [threads.submit(call) for call in all_kinds(s3) * 8]
        assert all(answer.result() for answer in answers)
    log = served.log()[logged:]
    assert "Traceback" not in log
    assert 1 <= log.count("ERROR") <= 20, log


def refused(s3: Any) -> bool:
    try:
        s3.head_bucket(Bucket=BUCKET)
    except ClientError:
        return True
    return False


class Gate:
    """A port in front of the database, which can be closed and opened without the time that a cluster takes."""

    def __init__(self, cluster: Cluster) -> None:
        host, _, port = cluster.url.rpartition("@")[2].partition("/")[0].partition(":")
        self._target, self.port = (host, int(port)), free_port()
        self._open: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._open.append(listening)
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def close(self) -> None:
        while self._open:
            each = self._open.pop()
            with suppress(OSError):  # its end was noticed already
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                accepted, _ = listening.accept()
                self._open.append(accepted)
                pair = accepted, socket.create_connection(self._target)
                self._open.append(pair[1])
                for source, sink in (pair, pair[::-1]):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # closed
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def test_database_that_is_back_is_noticed_by_every_process(cluster: Cluster, make_server: Callable[..., Server]) -> None:
    """A process refused for a second after its last try, although the database was back and other processes served."""
    gate = Gate(cluster)
    name = create_database(cluster.url).rpartition("/")[2]
    url = f"postgresql://post3@127.0.0.1:{gate.port}/{name}?connect_timeout=2"
    server = make_server("own-cluster", runner="gunicorn-asgi", environment={"DATABASE_URL": url})
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)

    def ask(_: int) -> int:
        answer = raw.send("GET", "/")  # on a connection of its own, to any process
        assert answer is not None
        return answer.status

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(64))) == {200}
        gate.close()
        assert set(threads.map(ask, range(16))) == {503}
        gate.open()
        time.sleep(0.5)
        assert set(threads.map(ask, range(64))) == {200}
    server.stop()
    gate.close()


@pytest.mark.parametrize("kind", range(9))
def test_database_restart_between_requests_goes_unnoticed(cluster: Cluster, served: Server, kind: int) -> None:
    s3 = served.client()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: read(s3, BUCKET, "small"), range(64)))  # all threads have connections
        cluster.stop()
        cluster.start()
        list(threads.map(lambda call: call(), [all_kinds(s3)[kind]] * 64))
    s3.put_object(Bucket=BUCKET, Key="after", Body=large())
    assert read(s3, BUCKET, "after") == large()


def test_transfers_in_progress_continue_or_are_interrupted(cluster: Cluster, served: Server) -> None:
    raw = RawClient(served.host, served.port, served.access_key, served.secret_key)
    body = large()[: 6 * MIB]
    put = raw.sign(
        "PUT", f"/{BUCKET}/cut", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(len(body)))]
    )
    get = raw.sign("GET", f"/{BUCKET}/large")
    slow = partial(connect, served, timeout=30, receive_buffer=64 * 1024)  # the server waits for a slow reader
    with slow() as upload, slow() as patient, slow() as unlucky:
        upload.sendall(put.head() + body[: 3 * MIB])
        for download in (patient, unlucky):
            download.sendall(get.head())
            download.recv(1, socket.MSG_PEEK)
        time.sleep(1)  # blocks are written, and the thread is parked
        cluster.stop()
        with pytest.raises(ConnectionError):
            read_response(unlucky)
        cluster.start()
        upload.sendall(body[3 * MIB :])
        answer = read_response(upload, "PUT")
        assert answer.status in (200, 503)
        with suppress(ConnectionError):  # it continues with the next block, unless it requested that meanwhile
            assert read_response(patient).body == large()
    if answer.status == 200:
        assert read(served.client(), BUCKET, "cut") == body
    else:
        assert refusal(served.client().get_object, Bucket=BUCKET, Key="cut").code == "NoSuchKey"


def test_crash_under_load_loses_nothing_acknowledged(cluster: Cluster, served: Server) -> None:
    stopped, acknowledged, failed = threading.Event(), {}, []

    def write(number: int) -> None:
        # botocore's default retries: five attempts, for 503 responses and broken connections.
        s3, count = served.client(retries={}), 0
        while not stopped.is_set():
            key, body = f"load/{number}/{count}", bytes([count % 251]) * (1000 if count % 5 else 3 * MIB)
            count += 1
            try:
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                acknowledged[key] = body
            except (ClientError, HTTPClientError) as error:
                failed.append(error)

    with ThreadPoolExecutor(6) as threads:
        writers = [threads.submit(write, number) for number in range(6)]
        time.sleep(1.5)
        cluster.stop()
        cluster.start()
        before = len(acknowledged)
        deadline = time.monotonic() + 30
        while len(acknowledged) < before + 30 and time.monotonic() < deadline:
            time.sleep(0.1)
        stopped.set()
        for writer in writers:
            writer.result()
    assert len(acknowledged) >= before + 30
    assert all(isinstance(error, ClientError) and error.response["Error"]["Code"] == "ServiceUnavailable" for error in failed)
    s3 = served.client()
    wrong = [key for key, body in acknowledged.items() if read(s3, BUCKET, key) != body]
    assert not wrong


def test_host_that_drops_packets_does_not_hold_threads_for_long(cluster: Cluster, served: Server) -> None:
    s3 = served.client()
    assert read(s3, BUCKET, "small") == b"small"
    host, _, port = cluster.url.rpartition("@")[2].partition("/")[0].partition(":")
    cluster.stop()
    with socket.create_server((host, int(port)), backlog=100), ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(timed, partial(refusal, s3.get_object, Bucket=BUCKET, Key="small")) for _ in range(40)]
        alive = [timed(lambda: status_of(f"{served.url}/_/health/live")) for _ in range(5)]
        outcomes = [call.result() for call in calls]
    cluster.start()
    assert {outcome.status for outcome, _ in outcomes} == {503}
    assert max(seconds for _, seconds in outcomes) < 8
    assert sorted(seconds for _, seconds in outcomes)[10] < 1  # most need not wait
    assert {status for status, _ in alive} == {200}
    deadline = time.monotonic() + 20
    while refused(s3):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def test_worker_waits_for_the_database_and_continues(cluster: Cluster, served: Server) -> None:
    s3 = served.client()
    log = served.data_dir / "worker.log"
    command = [sys.executable, "manage.py", "run_worker", "--interval", "0.2"]
    with open(log, "wb") as file:
        worker = subprocess.Popen(command, cwd=ROOT, env=served.environment, stdout=file, stderr=file)
    try:
        s3.put_object(Bucket=BUCKET, Key="garbage", Body=b"garbage" * MIB)
        cluster.stop()
        deadline = time.monotonic() + 30
        while b"next try" not in log.read_bytes():
            assert time.monotonic() < deadline and worker.poll() is None, log.read_text()
            time.sleep(0.1)
        cluster.start()
        while refused(s3):
            time.sleep(0.1)
        s3.delete_object(Bucket=BUCKET, Key="garbage")
        while garbage_of(served):
            assert time.monotonic() < deadline + 30 and worker.poll() is None, log.read_text()
            time.sleep(0.3)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    assert "Traceback" not in log.read_text()


def garbage_of(served: Server) -> int:
    import psycopg

    with psycopg.connect(served.environment["DATABASE_URL"]) as connection:
        return connection.execute("SELECT count(*) FROM post3_blob WHERE released_at IS NOT NULL").fetchone()[0]
