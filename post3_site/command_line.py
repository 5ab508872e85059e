"""The site's command line: `post3` where it is installed, `manage.py` in a checkout."""

import os
import sys


def main() -> None:
    """Run the command that the arguments name; exit with one line where the database refuses."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
    if sys.argv[1:] in (["--version"], ["version"]):
        from post3 import __version__

        sys.stdout.write(f"post3 {__version__}\n")
        return
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from .checks import stop_on_problems

    if sys.argv[1:2] not in ([], ["help"]) and "--help" not in sys.argv and "-h" not in sys.argv:
        stop_on_problems(status=1)
    try:
        execute_from_command_line(sys.argv)
    except DatabaseError as error:
        if "--traceback" in sys.argv:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        sys.exit(f"The database refuses: {reason}. Is it the right one, running, and migrated (`serve` or `migrate`)?")
