"""`python -m post3_site`: the same as `post3`."""

from .command_line import main

main()
