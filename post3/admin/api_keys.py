"""API keys: create (the secret is shown once), list and revoke. API keys are never changed or deleted."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from ..access import keys
from ..models import ApiKey
from .cells import code, moment, visible
from .generics import AnyModelForm
from .pages import CatalogueAdmin
from .site import console


class ApiKeyForm(AnyModelForm):
    class Meta:
        model = ApiKey
        fields = ["user", "name"]
        help_texts = {"name": "Purpose of the key."}

    def clean_user(self) -> Any:
        user = self.cleaned_data["user"]
        if not user.is_active:
            raise forms.ValidationError("This user is not active, so the key would be refused.")
        return user


@admin.register(ApiKey, site=console)
class ApiKeyAdmin(CatalogueAdmin):
    list_display = ["shown_key", "name", "user", "created", "shown_state"]
    list_display_links = ["shown_key"]
    list_select_related = ["user"]
    ordering = ["-created_at", "-pk"]
    prefix_field = "access_key"
    search_help_text = "Access key prefix"
    actions = ["revoke_selected"]
    form = ApiKeyForm

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return ("user", "name") if obj is None else ("shown_key", "shown_user", "name", "created", "shown_state")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("post3.add_apikey") and self._is_allowed(request, "Add")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("post3.change_apikey") and self._is_allowed(request, "Revoke")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Hide the icons for adding, changing and viewing a user, because this form only creates keys."""
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "user":
            field.widget.can_add_related = field.widget.can_change_related = field.widget.can_view_related = False
        return field

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.Form, change: bool) -> None:
        key, secret = keys.create_api_key(obj.user, obj.name)
        for field in ApiKey._meta.concrete_fields:
            setattr(obj, field.attname, getattr(key, field.attname))
        obj.secret = secret  # type: ignore[attr-defined]  # for the page of `response_add`
        messages.success(request, "API key created. Copy it now: its secret is never shown again.")

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the secret in the response itself. A redirect would store it in a cookie or in the session table."""
        request.current_app = self.admin_site.name
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "New API key", "key": obj}
        return TemplateResponse(request, "admin/post3/apikey/created.html", context)

    @admin.action(description="Revoke the selected API keys", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            self._revoke(request, key)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/", view, name="post3_apikey_revoke"), *super().get_urls()]

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Handle the "Revoke" button on a key's page."""
        if request.method != "POST" or not self.has_revoke_permission(request):
            raise PermissionDenied
        self._revoke(request, get_object_or_404(ApiKey, pk=pk))
        return redirect("post3_console:post3_apikey_changelist")

    def _revoke(self, request: HttpRequest, key: ApiKey) -> None:
        if not key.is_active:
            messages.info(request, f"{key} is already revoked.")
            return
        keys.revoke_api_key(key.access_key)
        self.log_change(request, key, "Revoked.")
        messages.success(request, f"{key} has been revoked.")

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: ApiKey | None = None,
    ) -> HttpResponse:
        # A single save button, because every way to save leads to the page with the secret.
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        context["can_revoke"] = obj is not None and obj.is_active and self.has_revoke_permission(request)
        return super().render_change_form(request, context, add, change, form_url, obj)

    @admin.display(description="Access key")
    def shown_key(self, key: ApiKey) -> str:
        return code(key.access_key)

    @admin.display(description="User")
    def shown_user(self, key: ApiKey) -> str:
        """Return the user name without a link, like `CatalogueAdmin.shown_owner`."""
        return visible(str(key.user))

    @admin.display(description="Created")
    def created(self, key: ApiKey) -> str:
        return moment(key.created_at)

    @admin.display(description="State")
    def shown_state(self, key: ApiKey) -> str:
        return format_html("revoked {}", moment(key.revoked_at)) if key.revoked_at else "active"
