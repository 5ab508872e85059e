"""Registers users and groups with the console, in addition to post3's models."""

from post3.admin.site import console

from . import users

users.register(console)
