"""Exit with status 0 if the server of this container is ready; otherwise print the reason and exit with status 1.

Usage: `python health.py [live|ready]`. It uses only the standard library, without Django, because it runs every few
seconds.
"""

import http.client
import os
import sys

#: Less than the timeout of the container's health check, so that the reason is printed.
TIMEOUT = 5


def problem(address: str, probe: str) -> str:
    """Return the problem of the server at `address` (POST3_HOST's host:port), or an empty string if it has none."""
    host, _, port = address.rpartition(":")
    # If the server listens on all addresses, connect to the loopback.
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
