"""How the documentation is built: `sphinx-build -n -W -b html docs docs/_build/html`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # autodoc reads the contract of the backends out of the source

source = (ROOT / "fineuploader_receiver" / "__init__.py").read_text()
(release,) = re.findall(r'^__version__ = "(.+)"$', source, flags=re.MULTILINE)

project = "django-fineuploader-receiver"
project_copyright = "the django-fineuploader-receiver contributors"
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write code between single backticks
autodoc_typehints = "none"
autodoc_member_order = "bysource"
