"""If the console does not accept a host, the response and the log name the setting."""

import http.client
from contextlib import closing

import pytest

from ..servers import Server


@pytest.mark.parametrize("host", ["evil.example", "10.1.2.3:9000", "post3.internal:80", "a_b", "x" * 300])
@pytest.mark.parametrize("path", ["/_/admin/", "/_/admin/login/?next=/_/admin/"])
def test_a_host_that_is_not_allowed_is_refused_with_the_name_of_the_setting(server: Server, host: str, path: str) -> None:
    before = len(server.log())
    with closing(http.client.HTTPConnection(server.host, server.console_port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read().decode()
    assert (answer.status, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert "POST3_ALLOWED_HOSTS" in body and host not in body
    log = server.log()[before:]
    assert "POST3_ALLOWED_HOSTS" in log and host[:255] in log
    assert "Traceback" not in log


def test_an_allowed_host_reaches_the_console(server: Server) -> None:
    with closing(http.client.HTTPConnection(server.host, server.console_port, timeout=20)) as connection:
        connection.request("GET", "/_/admin/login/", headers={"Host": f"localhost:{server.console_port}"})
        assert connection.getresponse().status == 200
