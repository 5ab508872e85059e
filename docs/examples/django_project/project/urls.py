from django.urls import include, path
from documents import views

urlpatterns = [
    # First, so that S3 requests need no look at other routes. The console is at /s3/_/admin/.
    path("s3/", include("post3.urls")),
    path("", views.documents, name="documents"),
]
