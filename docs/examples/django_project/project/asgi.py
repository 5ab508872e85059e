import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from post3.handlers import get_asgi_application

application = get_asgi_application()
