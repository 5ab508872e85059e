"""What this site's console has beside post3's own models: users and their groups."""

from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from post3.admin.site import console

console.register(User, UserAdmin)
console.register(Group, GroupAdmin)
