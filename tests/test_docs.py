"""The documentation against the code: whatever can drift apart is compared."""

from __future__ import annotations

import ast
import dataclasses
import datetime
import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as site_settings
from django.core.management.base import BaseCommand
from django.dispatch import Signal
from django.test import RequestFactory

from docpages import ROOT, Block, all_blocks, blocks_of, read_page, table_rows
from fineuploader_receiver import conf, signals
from fineuploader_receiver.client_options import client_options
from fineuploader_receiver.digests import ALGORITHMS
from fineuploader_receiver.exceptions import BY_CODE
from fineuploader_receiver.lifecycle.purge import Summary
from fineuploader_receiver.management.commands.purge_expired_uploads import Command
from fineuploader_receiver.models import UploadSession
from fineuploader_receiver.protocol.names import WIRE_NAMES
from fineuploader_receiver.receivers import Receiver, get_receiver

if TYPE_CHECKING:
    from pytest_django import Settings

SETTINGS_FILE = "mysite/settings.py"
CHECK_ID = re.compile(r"fineuploader_receiver\.([EW]\d{3})")


def hooks() -> dict[str, str]:
    """The methods that a site may replace, in order, with their arguments."""
    functions = {name: value for name, value in vars(Receiver).items() if inspect.isfunction(value)}
    return {
        name: ", ".join(list(inspect.signature(function).parameters)[1:])
        for name, function in functions.items()
        if not name.startswith(("_", "backend_"))
    }


def sections(page: str) -> dict[str, str]:
    """The third-level sections of a page whose heading is code, without its backticks."""
    parts = re.split(r"^#{2,3} (.+)$", read_page(page), flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {heading.strip("`"): text for heading, text in pairs if heading.startswith("`")}


def run_block(block: Block, **names: Any) -> dict[str, Any]:
    """Run a Python block and return what it defines."""
    exec(compile(block.text, str(block), "exec"), names)
    return names


def run_settings(block: Block) -> dict[str, Any]:
    """Run a block of settings at the end of a settings file that `startproject` could have made."""
    return run_block(
        block,
        BASE_DIR=Path("/srv/mysite"),
        INSTALLED_APPS=list(site_settings.INSTALLED_APPS),
        MIDDLEWARE=list(site_settings.MIDDLEWARE),
        TEMPLATES=[{"DIRS": []}],
    )


def ids(block: Block) -> str:
    return str(block)


# Settings


def option_defaults() -> dict[str, Any]:
    defaults = {}
    for field in dataclasses.fields(conf.ReceiverOptions):
        factory = field.default_factory
        defaults[field.name.upper()] = field.default if factory is dataclasses.MISSING else factory()
    del defaults["ALIAS"]
    return defaults


def test_every_option_has_an_entry_that_states_its_default() -> None:
    stated = {}
    for name, text in sections("settings").items():
        default = re.match(r"\n\nType: .+\. Default: `(.+)`\n\n", text)
        assert default, f"the entry of {name} does not begin with its type and default"
        stated[name] = eval(default[1], {"datetime": datetime})

    assert stated == option_defaults()


def test_entry_of_param_names_lists_every_name_a_page_may_change() -> None:
    assert set(re.findall(r"`(qq\w+)`", sections("settings")["PARAM_NAMES"])) == set(WIRE_NAMES)


@pytest.mark.parametrize("text", [sections("settings")["DIGEST"], read_page("page")], ids=["settings", "page"])
def test_every_digest_algorithm_is_listed(text: str) -> None:
    assert [algorithm for algorithm in ALGORITHMS if f"`{algorithm}`" not in text.replace('"', "")] == []


@pytest.mark.parametrize("block", all_blocks("python", file=SETTINGS_FILE), ids=ids)
def test_settings_block_can_be_used(block: Block, settings: Settings) -> None:
    receivers = run_settings(block).get("FINEUPLOADER_RECEIVERS", {})
    settings.FINEUPLOADER_RECEIVERS = receivers

    assert {alias: conf.load_options(alias).alias for alias in receivers} == {alias: alias for alias in receivers}


@pytest.mark.parametrize("block", all_blocks("python", file="mysite/urls.py"), ids=ids)
def test_urls_block_can_be_used(block: Block) -> None:
    assert run_block(block)["urlpatterns"]


def test_every_check_is_listed_with_the_settings() -> None:
    source = (Path(conf.__file__).parent / "checks.py").read_text("utf-8")

    assert CHECK_ID.findall("".join(row[0] for row in table_rows("settings", "id"))) == sorted(
        set(CHECK_ID.findall(source))
    )


def test_checks_about_other_origins_are_listed_there() -> None:
    assert [CHECK_ID.findall(row[0]) for row in table_rows("cors", "id")] == [["W001"], ["W002"], ["W003"]]


# Errors


def test_every_error_code_is_listed_with_its_status_and_what_the_client_does() -> None:
    word = {True: "yes", False: "no"}
    listed = {
        code.strip("`"): (int(status), prevent_retry.split(";")[0], reset)
        for code, status, prevent_retry, reset, _ in table_rows("errors", "`code`")
    }

    assert listed == {
        code: (error.status, word[error.prevent_retry], word[error.reset]) for code, error in BY_CODE.items()
    }


# Hooks, signals, the command


def test_every_hook_has_a_section_with_its_arguments() -> None:
    assert list(sections("receivers")) == [f"{name}({arguments})" for name, arguments in hooks().items()]


@pytest.mark.parametrize("block", all_blocks("python", file="mysite/uploads.py"), ids=ids)
def test_receiver_block_replaces_hooks_that_exist(block: Block) -> None:
    classes = [
        value
        for value in run_block(block, __name__="mysite.uploads").values()
        if inspect.isclass(value) and value is not Receiver
    ]
    replaced = {
        name: ", ".join(list(inspect.signature(function).parameters)[1:])
        for cls in classes
        if issubclass(cls, Receiver)
        for name, function in vars(cls).items()
        if inspect.isfunction(function)
    }

    assert replaced
    assert replaced.items() <= hooks().items()


def test_every_signal_is_listed() -> None:
    names = [name for name, value in vars(signals).items() if isinstance(value, Signal)]

    assert [row[0].strip("`") for row in table_rows("receivers", "signal")] == names


def test_listed_attributes_of_an_upload_exist() -> None:
    names = [name for row in table_rows("receivers", "attribute") for name in re.findall(r"`(\w+)(?:\(\))?`", row[0])]

    assert [name for name in names if not hasattr(UploadSession, name)] == []


def test_every_option_of_the_purge_is_listed() -> None:
    def options(command: BaseCommand) -> set[str]:
        actions = command.create_parser("manage.py", "purge_expired_uploads")._actions
        return {action.option_strings[-1] for action in actions if action.option_strings}

    listed = re.findall(r"^`(--[a-z-]+)", read_page("purge"), flags=re.MULTILINE)

    assert set(listed) == options(Command()) - options(BaseCommand())


def test_summary_of_the_purge_has_the_keys_that_it_shows() -> None:
    (block,) = [block for block in blocks_of("purge") if block.language == "json"]

    assert list(json.loads(block.text)) == [*(field.name for field in dataclasses.fields(Summary)), "dry_run"]


# Pages and their code


@pytest.mark.django_db
def test_every_generated_option_is_explained(rf: RequestFactory) -> None:
    options = client_options(get_receiver("default"), rf.get("/"))
    explained = "".join(row[0] for row in table_rows("page", "option"))

    assert [name for name in options if f"`{name}" not in explained] == []


@pytest.mark.parametrize("block", all_blocks("python"), ids=ids)
def test_python_block_is_python(block: Block) -> None:
    assert ast.parse(block.text).body


@pytest.mark.parametrize("block", all_blocks("json"), ids=ids)
def test_json_block_is_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


def test_readme_tells_the_same_install_steps_as_the_quickstart() -> None:
    readme, quickstart = (ROOT / "README.md").read_text("utf-8"), read_page("quickstart")
    steps = re.findall(r"^\d\. .*?`(.+)`", readme, flags=re.MULTILINE)

    assert len(steps) == 6
    assert [step for step in steps[1:4] if step not in quickstart] == []


def test_readme_links_to_every_page() -> None:
    linked = set(re.findall(r"\(docs/(\w+)\.md\)", (ROOT / "README.md").read_text("utf-8")))

    assert linked == {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
