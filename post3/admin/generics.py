"""Django's classes for the admin, which take type parameters in django-stubs but not at run time."""

from typing import TYPE_CHECKING, Any

from django.contrib.admin import ModelAdmin, TabularInline
from django.contrib.admin.options import BaseModelAdmin
from django.forms import BaseInlineFormSet, ModelForm

if TYPE_CHECKING:
    AnyBaseModelAdmin = BaseModelAdmin[Any]
    AnyModelAdmin = ModelAdmin[Any]
    AnyTabularInline = TabularInline[Any, Any]
    AnyInlineFormSet = BaseInlineFormSet[Any, Any, Any]
    AnyModelForm = ModelForm[Any]
else:
    AnyBaseModelAdmin, AnyModelAdmin, AnyTabularInline = BaseModelAdmin, ModelAdmin, TabularInline
    AnyInlineFormSet, AnyModelForm = BaseInlineFormSet, ModelForm
