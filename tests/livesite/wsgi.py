"""What gunicorn serves: the site, behind a recorder of every request it was sent, preflights included."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

from livesite import settings
from livesite.recorder import Recorder

application = Recorder(get_wsgi_application(), settings.FOLDER / "requests.jsonl")
