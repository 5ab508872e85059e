"""`post3 help`: list post3's commands with a short description; `post3 help --all` also lists Django's commands."""

import os
import sys
import textwrap
from typing import TextIO

import django
from django.core.management import get_commands, load_command_class

from post3 import __version__

APPS = ("post3", "post3_site")
WIDTH = 110


def write_help(output: TextIO, *, with_djangos: bool) -> None:
    """Write the usage of the command line and the list of commands."""
    django.setup()
    program = "python -m post3_site" if sys.argv[0].endswith("__main__.py") else os.path.basename(sys.argv[0])
    commands = get_commands()
    output.write(f"post3 {__version__}: an S3 object store.\n\n")
    output.write(f"Usage: {program} COMMAND [options]. `{program} COMMAND --help` explains a command.\n\n")
    for name in sorted(name for name, app in commands.items() if app in APPS):
        command = load_command_class(commands[name], name)
        if not getattr(command, "is_internal", False):
            first = command.help.partition(". ")[0].rstrip(".")
            output.write(f"{textwrap.fill(first, WIDTH, initial_indent=f'  {name:<18} ', subsequent_indent=' ' * 21)}\n")
    if not with_djangos:
        output.write(f"\nDjango's own commands, such as createsuperuser: `{program} help --all`.\n")
        return
    output.write("\nDjango's own commands:\n\n")
    names = " ".join(sorted(name for name, app in commands.items() if app not in APPS))
    output.write(f"{textwrap.fill(names, WIDTH, initial_indent='  ', subsequent_indent='  ')}\n")
