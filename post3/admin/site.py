"""The console's admin site, which is separate from the `admin.site` of the project that installs post3."""

from django.contrib import admin


class ConsoleSite(admin.AdminSite):
    site_header = site_title = "post3"
    index_title = "Console"
    site_url = None  # the console's origin serves no other pages


console = ConsoleSite(name="post3_console")
