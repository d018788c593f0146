"""Make the example site ready to run."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.core.management.base import BaseCommand

from gallery.demo import DEMO_USERS, DemoUser

CLIENT = "fine-uploader/fine-uploader/fine-uploader.min.js"


class Command(BaseCommand):
    """Migrate the database and make the demo accounts; what is there already stays as it is."""

    help = "Migrate the database and make the demo accounts. Running it again changes nothing."
    requires_system_checks = ()  # one of them opens the database, whose folder is made here

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every step, and say what is missing."""
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=0)
        for demo in DEMO_USERS:
            self._make(demo)
        if not finders.find(CLIENT):
            self.stderr.write(f"Fine Uploader is missing: unpack its npm package at {settings.FINE_UPLOADER_DIR}")

    def _make(self, demo: DemoUser) -> None:
        if User.objects.filter(username=demo.name).exists():
            return
        create = User.objects.create_superuser if demo.is_admin else User.objects.create_user
        create(demo.name, password=demo.password)
        self.stdout.write(f"Made the account {demo.name}, password {demo.password}")
