from django.contrib import admin
from django.urls import include, path
from documents import views

urlpatterns = [
    # First, so that S3 requests are matched before other routes.
    path("s3/", include("post3.urls")),
    # The console, at /s3/_/admin/. It is a separate admin site. Omit this line to serve S3 without it.
    path("s3/", include("post3.console_urls")),
    path("admin/", admin.site.urls),
    path("", views.documents, name="documents"),
]
