"""What a site gets when it installs the package: the built wheel, and metadata that agree with the checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fineuploader_receiver

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parent.parent
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "*.egg-info", "__pycache__", "_build", "build", "dist", "fine-uploader", "media"
)
PACKAGE = "fineuploader_receiver"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built beside it, so that nothing an earlier build left behind gets into it."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    built = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=NOT_SOURCE)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(built), str(source)]
    done = subprocess.run(command, cwd=built, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.iterdir()
    return path


@pytest.fixture(scope="session")
def wheel_names(wheel: Path) -> set[str]:
    """The names of the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def shipped_sources() -> set[str]:
    """Return every file of the package that a site needs, by its path in the checkout."""
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix not in {".pyc", ".po"}}


def unconditional(requirements: list[str]) -> list[str]:
    """Return the requirements that no extra has to be asked for."""
    return [requirement for requirement in requirements if "extra ==" not in requirement]


def test_wheel_holds_the_whole_package_and_nothing_else(wheel_names: set[str]) -> None:
    in_package = {name for name in wheel_names if ".dist-info/" not in name}

    assert in_package == shipped_sources()


@pytest.mark.parametrize(
    "name", ["py.typed", "migrations/0001_initial.py", "management/commands/purge_expired_uploads.py"]
)
def test_wheel_holds_what_is_easily_forgotten(wheel_names: set[str], name: str) -> None:
    assert f"{PACKAGE}/{name}" in wheel_names


def test_wheel_carries_the_licence(wheel_names: set[str], metadata: Message) -> None:
    licences = [name for name in wheel_names if name.endswith("/LICENSE")]

    assert len(licences) == 1
    assert metadata["License-Expression"] == "MIT"


def test_install_brings_django_and_nothing_else(metadata: Message) -> None:
    assert unconditional(metadata.get_all("Requires-Dist", [])) == ["Django>=5.2"]


def test_extras_are_those_that_the_docs_promise(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == {"cors", "s3", "azure", "metrics", "test", "docs"}


@pytest.mark.parametrize(
    ("extra", "distribution"),
    [
        ("cors", "django-cors-headers"),
        ("s3", "django-storages[s3]"),
        ("azure", "django-storages[azure]"),
        ("metrics", "prometheus-client"),
    ],
)
def test_extra_brings_its_one_distribution(metadata: Message, extra: str, distribution: str) -> None:
    marked = [line for line in metadata.get_all("Requires-Dist", []) if re.search(rf"extra == ['\"]{extra}['\"]", line)]

    assert [re.split(r"[<>=!~;]", line)[0].strip() for line in marked] == [distribution]


def test_metadata_names_the_supported_versions(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    pythons = {name.rpartition(" ")[2] for name in classifiers if re.search(r"Python :: 3\.\d+$", name)}
    djangos = {name.rpartition(" ")[2] for name in classifiers if re.search(r"Django :: \d", name)}

    assert metadata["Requires-Python"] == ">=3.10"
    assert pythons == {"3.10", "3.11", "3.12", "3.13", "3.14"}
    assert djangos == {"5.2", "6.0", "6.1"}


def test_tox_runs_every_supported_version(metadata: Message) -> None:
    classifiers = "\n".join(metadata.get_all("Classifier", []))
    lines = re.findall(r"py\{([\d,]+)\}-django(\d+)", (ROOT / "tox.ini").read_text(encoding="utf-8"))

    pythons = {python for line, _ in lines for python in line.split(",")}
    djangos = {django for _, django in lines}

    assert pythons == {version.replace(".", "") for version in re.findall(r"Python :: (3\.\d+)", classifiers)}
    assert djangos == {version.replace(".", "") for version in re.findall(r"Django :: (\d\.\d)", classifiers)}


def test_newest_changelog_entry_is_the_version_of_the_package(metadata: Message) -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert versions[0] == fineuploader_receiver.__version__ == metadata["Version"]


def test_readme_is_the_long_description(metadata: Message) -> None:
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
