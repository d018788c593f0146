"""The Pythons of this machine, and virtual environments made with them."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.shell import CACHE, ROOT, CannotRun, install_debian, read, require

OLDEST, NEWEST = (3, 10), (3, 14)
OLDEST_DJANGO, NEWEST_DJANGO = "5.2", "6.1"
NEWEST_DJANGO_NEEDS = (3, 12)


@dataclass(frozen=True)
class Pair:
    """A Python and the Django series to use with it."""

    version: tuple[int, int]
    executable: Path
    django: str

    def __str__(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]} and Django {self.django}"

    @property
    def folder(self) -> Path:
        """Where the virtual environment of this pair is kept."""
        return CACHE / "venvs" / f"py{self.version[0]}{self.version[1]}-django{self.django}"


def candidates() -> list[Path]:
    """Return everything that may be a Python: this one, those on the PATH, and those that pyenv built."""
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1))]
    on_path = [Path(found) for found in map(shutil.which, names) if found]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [Path(sys.executable), *sorted(pyenv.glob("versions/*/bin/python")), *on_path]


def find_pythons() -> dict[tuple[int, int], Path]:
    """Return the supported Pythons that answer, by version (pyenv's shims often do not)."""
    found: dict[tuple[int, int], Path] = {}
    for path in candidates():
        answered, text = read(path, "-c", "import sys; print(*sys.version_info[:2])")
        if not answered:
            continue
        major, minor = map(int, text.split())
        if OLDEST <= (major, minor) <= NEWEST:
            found.setdefault((major, minor), path)
    return found


def choose_pairs() -> tuple[Pair, Pair | None]:
    """Return the newest pair of this machine and, where that is another one, the oldest."""
    pythons = find_pythons()
    newest, oldest = max(pythons), min(pythons)
    django = NEWEST_DJANGO if newest >= NEWEST_DJANGO_NEEDS else OLDEST_DJANGO
    first, last = Pair(newest, pythons[newest], django), Pair(oldest, pythons[oldest], OLDEST_DJANGO)
    return first, (None if first == last else last)


def make_venv(folder: Path, python: Path) -> Path:
    """Make a virtual environment where there is none yet, and return its Python."""
    inside = folder / "bin" / "python"
    if not read(inside, "-m", "pip", "--version")[0]:
        if not read(python, "-c", "import ensurepip, venv")[0]:
            install_debian("python3-venv")  # Debian's own Python comes without it
        require(python, "-m", "venv", "--clear", folder)
    return inside


def install(python: Path, *requirements: str) -> None:
    """Install requirements; the checkout is among them as ``.`` or ``.[extra]``."""
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # a module removed since would still be put into the wheel
    require(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    shutil.rmtree(ROOT / "build", ignore_errors=True)


def make_pair_venv(pair: Pair, *extras: str) -> Path:
    """Make the environment of a pair, with the checkout installed as its wheel, and return its Python."""
    python = make_venv(pair.folder, pair.executable)
    install(python, f".[{','.join(extras)}]", f"Django~={pair.django}.0")
    answered, version = read(python, "-c", "import django; print(django.__version__)")
    if not answered or not version.startswith(f"{pair.django}."):
        raise CannotRun(f"{pair.folder} holds Django {version}")
    return python
