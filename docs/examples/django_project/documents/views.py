from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from .models import Document


@require_http_methods(["GET", "POST"])
def documents(request: HttpRequest) -> HttpResponse:
    """List the documents, or store the files of a form: either all of them, or none, with no bytes left behind."""
    if request.method == "GET":
        return render(request, "documents/list.html", {"documents": Document.objects.order_by("pk")})
    for file in request.FILES.getlist("files"):
        Document.objects.create(title=file.name, file=file)
    if Document.objects.count() > settings.MAX_DOCUMENTS:
        transaction.set_rollback(True)  # rows, objects and bytes
        text = f"More than {settings.MAX_DOCUMENTS} documents: nothing was stored."
        return HttpResponse(text, content_type="text/plain", status=409)
    return redirect("documents")
