"""Programs of the machine that tests run: found, or installed through apt-get as `tests/cluster.py` installs PostgreSQL."""

import os
import shutil
import subprocess


def ensure_program(name: str, *packages: str) -> str:
    """Return the path of a program; install its Debian packages first where it is missing. Raises RuntimeError."""
    if found := shutil.which(name):
        return found
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        try:
            subprocess.run([*prefix, "apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"There is no {name} on this machine, and installing it failed: {error}") from None
    if found := shutil.which(name):
        return found
    raise RuntimeError(f"apt-get installed {', '.join(packages)}, but there is still no {name}.")
