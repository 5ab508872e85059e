"""The site's command line: `post3` if the package is installed, `manage.py` in a checkout."""

import os
import signal
import sys

#: Commands that create a store if there is none.
MAKERS = {"serve", "serve_for_tests", "migrate"}
#: Django's commands that do not need a store.
STORELESS = {"check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "makemessages", "makemigrations"}
STORELESS |= {"optimizemigration", "sqlmigrate", "squashmigrations", "startapp", "startproject", "test", "testserver"}
#: Exit status that a shell reports for a program ended by Ctrl-C.
INTERRUPTED = 130
#: Exit status that a shell reports for a program whose output pipe was closed.
CUT_OFF = 141


def main() -> None:
    """Run the command given in `sys.argv`. Exit with a one-line message if it cannot start or the database fails."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Imports can lose a KeyboardInterrupt: one raised in a callback of the import system is printed and ignored.
        signal.signal(signal.SIGINT, _exit_immediately)
    try:
        _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `post3 list_api_keys | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise the flush at exit would fail again
        sys.exit(CUT_OFF)


def _run() -> None:
    if sys.argv[1:] in (["--version"], ["version"]):
        from post3 import __version__

        sys.stdout.write(f"post3 {__version__}\n")
        return
    if sys.argv[1:] in ([], ["help"], ["-h"], ["--help"], ["help", "--all"]):
        from .help import write_help

        write_help(sys.stdout, with_djangos="--all" in sys.argv)
        return
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from post3.db.databases import UnfitDatabase
    from post3.visible import visible

    try:
        if not _asks_for_help():
            _stop_early(sys.argv[1])
            _import_command(sys.argv[1])
        if signal.getsignal(signal.SIGINT) is _exit_immediately:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        execute_from_command_line(sys.argv)
    except DatabaseError as error:
        if "--traceback" in sys.argv:
            raise
        if isinstance(error, UnfitDatabase):
            sys.exit(str(error))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        sys.exit(f"Database error: {visible(reason)}. Is it the correct database, running and migrated (`serve` or `migrate`)?")


def _exit_immediately(*_: object) -> None:
    """Handle Ctrl-C while commands are imported, when nothing needs to be cleaned up."""
    os._exit(INTERRUPTED)


def _asks_for_help() -> bool:
    return sys.argv[1] == "help" or bool({"-h", "--help"} & set(sys.argv))


def _import_command(command: str) -> None:
    """Import a command's module, and so nearly everything that the command needs."""
    from django.core.management import get_commands, load_command_class

    app = get_commands().get(command)
    if isinstance(app, str):
        load_command_class(app, command)


def _stop_early(command: str) -> None:
    """Exit if the environment is invalid, or if the command needs a store and there is none."""
    from .checks import stop_on_problems

    stop_on_problems(status=1)
    import django
    from django.core.management import get_commands
    from django.db import connection

    django.setup()
    if command in MAKERS or command not in get_commands():
        return
    from post3.catalogue.schema import CatalogueFault, require_file

    try:
        require_file()
    except CatalogueFault as fault:
        if command not in STORELESS:
            sys.exit(str(fault))
        connection.settings_dict["NAME"] = ":memory:"  # otherwise SQLite would create the file
