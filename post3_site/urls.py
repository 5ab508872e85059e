"""The site's URLs: all of them are post3's."""

from django.urls import include, path

urlpatterns = [path("", include("post3.urls"))]

handler400 = "post3_site.refusals.refuse"
handler404 = "post3.api.views.pages.not_found"
