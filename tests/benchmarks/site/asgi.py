"""The site for ASGI servers."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.site.settings"
application = get_asgi_application()
