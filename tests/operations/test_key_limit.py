"""POST3_KEY_REQUESTS_PER_SECOND: requests of an access key that makes too many are refused."""

from collections.abc import Callable

from ..helpers import refusal_of
from ..raw import RawClient
from ..servers import Server
from ..site.scraping import get


def test_a_key_with_too_many_requests_gets_slow_down(make_server: Callable[..., Server]) -> None:
    # One request in 50 seconds, so nothing here depends on the machine's speed.
    environment = {"POST3_KEY_REQUESTS_PER_SECOND": "0.02", "POST3_METRICS": "0"}
    server = make_server("sqlite-files", environment=environment)
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    thief = RawClient(server.host, server.port, server.access_key, "not-the-secret")
    for _ in range(3):
        assert refusal_of(thief.send("GET", "/")).code == "SignatureDoesNotMatch"
    assert raw.send("GET", "/").status == 200, "requests with a wrong signature used up the key's limit"
    for method in ("GET", "PUT"):
        refused = refusal_of(raw.send(method, "/bucket" if method == "PUT" else "/"))
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "SlowDown", "1")
    access_key, secret_key = server.create_api_key("another")
    assert RawClient(server.host, server.port, access_key, secret_key).send("GET", "/").status == 200
    assert get(server)[0] == 404, "metrics are off"
    server.stop()
