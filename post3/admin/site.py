"""The console's site, apart from the `admin.site` of the project that post3 is installed in."""

from django.contrib import admin


class ConsoleSite(admin.AdminSite):
    site_header = site_title = "post3"
    index_title = "Console"
    site_url = None  # the console's origin has no other pages


console = ConsoleSite(name="post3_console")
