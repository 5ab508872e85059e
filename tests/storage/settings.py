"""The site's settings with the storages in TEST_STORAGES, as JSON (`DJANGO_SETTINGS_MODULE=tests.storage.settings`)."""

import json
import os

from post3_site.settings import *  # noqa: F403

POST3_STORAGES = json.loads(os.environ["TEST_STORAGES"])
