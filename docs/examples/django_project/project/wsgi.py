import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from post3.handlers import get_wsgi_application

application = get_wsgi_application()
