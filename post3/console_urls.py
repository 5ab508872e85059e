"""`path("", include("post3.console_urls"))`: the console, for projects that mount it beside their own pages.

It needs `django.contrib.admin` and what that needs. The URLs of S3 are `post3.urls`.
"""

from django.urls import path

from .admin.site import console

urlpatterns = [path("_/admin/", console.urls)]
