"""What the site's console has beside post3's own models. Importing `users` has Django register its own pages first."""

from django.contrib import admin

from . import users

users.register(admin.site)
