"""Exit with 0 when the server of this container is ready, with 1 and a line that says why when it is not.

`python health.py [live|ready]`. Standard library only, and without Django: it runs every few seconds.
"""

import http.client
import os
import sys

#: Less than the health check's own limit, so that the reason is told.
TIMEOUT = 5


def problem(address: str, probe: str) -> str:
    """Return what is wrong with the server at `address` (POST3_HOST's host:port); empty where nothing is."""
    host, _, port = address.rpartition(":")
    # What listens everywhere is asked on the loopback.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host).strip("[]")
    try:
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
        connection.request("GET", f"/_/health/{probe}")
        answer = connection.getresponse()
        body = answer.read(1000).decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{address} does not answer: {error}"
    return "" if answer.status == 200 else f"{address} answers {answer.status}: {body}"


if __name__ == "__main__":
    found = problem(os.environ.get("POST3_HOST") or "127.0.0.1:9000", sys.argv[1] if len(sys.argv) > 1 else "ready")
    sys.exit(found or 0)
