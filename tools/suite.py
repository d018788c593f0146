"""Everything that is tested, step by step, and a plain account of it at the end."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tools.azurite import fetch_azurite
from tools.browser import find_chromium
from tools.ceph import need_ceph
from tools.client import fetch_client
from tools.databases import MARIADB, POSTGRESQL, Engine, database, named
from tools.nginx import find_nginx
from tools.pythons import Pair, choose_pairs, make_pair_venv
from tools.shell import CACHE, ROOT, CannotRun, install_debian
from tools.shell import run as run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

BROWSER, STORES, CEPH, CRASHES, RACES = "browser", "stores and not ceph", "ceph", "crashes", "races"
UNITS = "not browser and not stores and not crashes and not races"
CORE = ("tests/unit", "tests/flows", "tests/regressions", "tests/faults", "tests/properties/test_schedules.py")
"""What may differ from one database, Python or Django to another; the rest is about networks, bytes and documents."""
EXAMPLE = ROOT / "example_project"
EXAMPLE_TYPES = EXAMPLE / "mypy.ini"  # it has settings of its own
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
SITE = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(ROOT / "tests"), "PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class Outcome:
    """How one step ended."""

    step: str
    result: str
    seconds: float
    reason: str


@dataclass
class Suite:
    """The steps that were taken so far, and what those that follow have in common."""

    pytest_arguments: list[str]
    require_all: bool
    outcomes: list[Outcome] = field(default_factory=list)
    pair: Pair | None = None

    def step(self, name: str, action: Callable[[], int]) -> None:
        """Take a step: its action returns an exit status, or raises ``CannotRun``."""
        full_name = f"{self.pair}: {name}"
        print(f"\n=== {full_name} ===", flush=True)
        start = time.monotonic()
        try:
            status = action()
            result, reason = (FAILED, f"exit status {status}") if status else (PASSED, "")
        except CannotRun as error:
            result, reason = NOT_RUN, str(error)
        self.outcomes.append(Outcome(full_name, result, time.monotonic() - start, reason))

    def pytest(
        self, python: Path, marker: str, environment: Mapping[str, str] | None = None, *, paths: Sequence[str] = ()
    ) -> int:
        """Run tests; finding none is a failure (pytest's status 5), and so is a skip where everything is required."""
        workers = ["-n", "auto"] if marker in (UNITS, STORES, CRASHES) else []  # a browser needs the machine for itself
        strictness = ["--no-skips"] if self.require_all else []
        arguments = ["-m", marker, *workers, *strictness, *self.pytest_arguments, *paths]
        safely = {"PYTHONSAFEPATH": "1", **(environment or {})}  # what is tested is the wheel, not the checkout
        return run_command(python.parent / "pytest", *arguments, environment=safely)

    def summarize(self) -> int:
        """Print what ran, and return the exit status of the whole."""
        print("\n=== Summary ===")
        for outcome in self.outcomes:
            reason = f": {outcome.reason}" if outcome.reason else ""
            print(f"{outcome.result:8} {outcome.seconds:5.0f} s  {outcome.step}{reason}")
        results = [outcome.result for outcome in self.outcomes]
        passed, failed, not_run = (results.count(result) for result in (PASSED, FAILED, NOT_RUN))
        if not_run and not self.require_all:
            print("What could not run is no failure without --require-all.")
        print(f"steps: {passed} passed, {failed} failed, {not_run} skipped", flush=True)
        return 1 if failed or not passed or (not_run and self.require_all) else 0


def run(*, pytest_arguments: list[str], require_all: bool, fast: bool, long: bool) -> int:
    """Run the suite and return its exit status."""
    suite = Suite(pytest_arguments, require_all)
    newest, oldest = choose_pairs()
    check = check_newest_fast if fast else check_newest_long if long else check_newest
    with_pair(suite, newest, check, "test", "docs")
    if oldest and not fast:
        with_pair(suite, oldest, check_oldest, "test")
    return suite.summarize()


def with_pair(suite: Suite, pair: Pair, check: Callable[[Suite, Path], None], *extras: str) -> None:
    """Check with a pair's environment; not being able to make it is one step that could not run."""
    suite.pair = pair
    made: list[Path] = []

    def make() -> int:
        made.append(make_pair_venv(pair, *extras))
        return 0

    suite.step("set up", make)
    for python in made:
        check(suite, python)


def check_newest_fast(suite: Suite, python: Path) -> None:
    """Take the steps of which a change wants to hear first."""
    tools = python.parent
    suite.step("lint", lambda: run_command(tools / "ruff", "check"))
    suite.step("format", lambda: run_command(tools / "ruff", "format", "--check"))
    suite.step("types", lambda: run_command(tools / "mypy"))
    suite.step("types, example", lambda: run_command(tools / "mypy", "--config-file", EXAMPLE_TYPES, EXAMPLE))
    check_migrations(suite, python)
    suite.step("tests, SQLite", lambda: suite.pytest(python, UNITS))


def check_newest(suite: Suite, python: Path) -> None:
    """Take every step that one Python and Django can."""
    check_newest_fast(suite, python)
    suite.step("documentation", lambda: build_docs(python))
    suite.step("tests, PostgreSQL", lambda: test_on(suite, python, POSTGRESQL))
    suite.step("tests, MariaDB", lambda: test_on(suite, python, MARIADB))
    suite.step("tests, stores", lambda: test_on_stores(suite, python))
    suite.step("tests, races", lambda: test_races(suite, python))
    suite.step("tests, crashes", lambda: run_crashes(suite, python))
    suite.step("tests, browser", lambda: test_in_browser(suite, python))


def check_newest_long(suite: Suite, python: Path) -> None:
    """Take these, and those that ask for large programs or much time."""
    check_newest(suite, python)
    suite.step("tests, Ceph", lambda: test_on_ceph(suite, python))
    suite.step("tests, crashes on PostgreSQL", lambda: run_crashes_on(suite, python, POSTGRESQL))


def check_oldest(suite: Suite, python: Path) -> None:
    """Take the steps whose outcome may depend on the age of Python or Django."""
    check_migrations(suite, python)
    suite.step("tests, SQLite", lambda: suite.pytest(python, UNITS, paths=CORE))


def check_migrations(suite: Suite, python: Path) -> None:
    """Fail when the models have changed and the migrations have not."""
    arguments = ["makemigrations", "--check", "--dry-run", "fineuploader_receiver"]
    suite.step("migrations", lambda: run_command(python.parent / "django-admin", *arguments, environment=SITE))


def build_docs(python: Path) -> int:
    """Build the documentation; a warning or a reference to nothing is a failure."""
    options = ["-n", "-W", "--keep-going", "-q", "-E", "-b", "html"]
    return run_command(python.parent / "sphinx-build", *options, "docs", CACHE / "docs")


def test_on(suite: Suite, python: Path, engine: Engine) -> int:
    """Run the tests that databases may answer differently on a database server."""
    with database(engine, python) as environment:
        return suite.pytest(python, UNITS, environment, paths=CORE)


def test_races(suite: Suite, python: Path) -> int:
    """Run the tests of a live site on every database, all in one run."""
    with database(POSTGRESQL, python) as postgresql, database(MARIADB, python) as mariadb:
        return suite.pytest(python, RACES, named(POSTGRESQL, postgresql) | named(MARIADB, mariadb))


def test_in_browser(suite: Suite, python: Path) -> int:
    """Run the tests that drive the real client."""
    client, chromium, nginx = fetch_client(python), find_chromium(), find_nginx()
    environment = {"FINE_UPLOADER_DIR": str(client), "CHROMIUM": chromium, "NGINX_PROGRAM": nginx}
    return suite.pytest(python, BROWSER, environment)


def test_on_stores(suite: Suite, python: Path) -> int:
    """Run the tests that keep files in object stores, which they start themselves."""
    programs = {"AZURITE_DIR": str(fetch_azurite(python)), "NGINX_PROGRAM": find_nginx()}
    with database(POSTGRESQL, python) as environment:
        return suite.pytest(python, STORES, {**environment, **programs})


def test_on_ceph(suite: Suite, python: Path) -> int:
    """Run the contract of the backends on a Ceph cluster."""
    need_ceph()
    return suite.pytest(python, CEPH)


def run_crashes(suite: Suite, python: Path, environment: Mapping[str, str] | None = None) -> int:
    """Run the tests that kill servers, cut the power and fill disks."""
    if os.geteuid() != 0:
        raise CannotRun("only root can mount small disks")
    if shutil.which("strace") is None:
        install_debian("strace")
    return suite.pytest(python, CRASHES, environment)


def run_crashes_on(suite: Suite, python: Path, engine: Engine) -> int:
    """Run them on a database server."""
    with database(engine, python) as environment:
        return run_crashes(suite, python, environment)
