"""What this site's console has beside post3's own models: users and their groups."""

from post3.admin.site import console

from . import users

users.register(console)
