"""The direction of flow, read off the source: who imports whom, who knows the wire, how long things are."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fineuploader_receiver

PACKAGE = Path(fineuploader_receiver.__file__).parent
NAME = "fineuploader_receiver"

# Every part of the package, lowest first, with the parts that it may import. Nothing may import a later one.
LAYERS: dict[str, set[str]] = {
    "exceptions": set(),
    "logs": set(),
    "digests": set(),
    "signals": set(),
    "database": set(),
    "models": set(),
    "protocol": {"exceptions", "digests"},
    "backends": {"logs"},
    "testing": {"backends"},
    "conf": {"protocol", "digests"},
    "receivers": {"conf", "backends", "protocol", "models"},
    "owners": {"exceptions", "receivers"},
    "csrf": {"exceptions"},
    "lifecycle": {
        "exceptions",
        "logs",
        "digests",
        "signals",
        "database",
        "models",
        "protocol",
        "backends",
        "conf",
        "receivers",
        "owners",
    },
    "client_options": {"conf", "exceptions", "owners", "protocol", "receivers"},
    "checks": {"conf", "models", "receivers"},
    "admin": {"models"},
    "logins": {"lifecycle", "logs", "owners"},
    "templatetags": {"client_options", "conf", "receivers"},
    "management": {"conf", "lifecycle", "receivers"},
    "views": {"client_options", "csrf", "exceptions", "lifecycle", "logs", "owners", "protocol", "receivers"},
    "urls": {"conf", "views"},
    "apps": {"checks", "logins"},
    "migrations": set(),
}

# The rules talk about the wire's values and never about the wire.
FROM_PROTOCOL = {
    "conf": {"protocol.names"},
    "receivers": {"protocol.names"},
    "client_options": {"protocol.names"},
    "lifecycle": {"protocol.messages"},
}

HTTP = ("django.http", "django.shortcuts", "django.views", "django.template", "django.urls", "django.middleware")

WIRE_NAME = re.compile(r"(?<![a-z])qq")

LONGEST_MODULE = 450
LONGEST_FUNCTION = 50
NINE_IN_TEN = 35


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name below the package, parsed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text("utf-8"))
    return found


def is_package(module: str) -> bool:
    return (PACKAGE / module.replace(".", "/") / "__init__.py").is_file()


def imports(module: str) -> Iterator[str]:
    """Everything that a module imports, at its top, in a function or for types; our own as `.module`."""
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (resolve(module, node, alias.name) for alias in node.names)


def resolve(module: str, node: ast.ImportFrom, name: str) -> str:
    package = module.split(".") if is_package(module) else module.split(".")[:-1]
    base = package[: len(package) - (node.level - 1)] + (node.module or "").split(".")
    source = ".".join(filter(None, base))
    inner = f"{source}.{name}".lstrip(".")
    return f".{inner if inner in modules() else source}"


def own_imports(module: str) -> set[str]:
    return {name.lstrip(".") for name in imports(module) if name.startswith((".", NAME))}


def part(module: str) -> str:
    return module.partition(".")[0]


def modules_of(*parts: str) -> list[str]:
    found = [module for module in modules() if part(module) in parts]
    assert found
    return found


def test_every_part_of_the_package_has_its_place_in_the_layers() -> None:
    assert {part(module) for module in modules() if module} == set(LAYERS)


def test_no_part_imports_another_than_it_may() -> None:
    actual: dict[str, set[str]] = {name: set() for name in LAYERS}
    for module in filter(None, modules()):
        actual[part(module)] |= {part(name) for name in own_imports(module)} - {part(module)}
    assert {name: found - LAYERS[name] for name, found in actual.items() if found - LAYERS[name]} == {}


def test_the_layers_have_a_direction() -> None:
    order = list(LAYERS)
    upward = {(name, below) for name in order for below in LAYERS[name] if order.index(below) >= order.index(name)}
    assert upward == set()


def test_only_the_glue_sits_above_the_rules() -> None:
    above = {part(module) for module in modules() if "lifecycle" in {part(name) for name in own_imports(module)}}
    assert above - {"lifecycle"} == {"views", "management", "logins"}


@pytest.mark.parametrize("name", FROM_PROTOCOL)
def test_below_the_views_only_messages_and_names_of_the_protocol_are_known(name: str) -> None:
    used = {module for source in modules_of(name) for module in own_imports(source) if part(module) == "protocol"}
    assert used == FROM_PROTOCOL[name]


@pytest.mark.parametrize("name", ["lifecycle", "backends", "database", "digests", "exceptions", "conf"])
def test_rules_and_bytes_know_no_http(name: str) -> None:
    used = {f"{module}: {name}" for module in modules_of(name) for name in imports(module) if name.startswith(HTTP)}
    assert used == set()


@pytest.mark.parametrize("module", ["models", "receivers"])
def test_http_is_known_to_lower_layers_as_a_type_only(module: str) -> None:
    top_level = [node for node in modules()[module].body if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in top_level if (node.module or "").startswith(HTTP)] == []


def test_backends_know_no_rows() -> None:
    used = {name for module in modules_of("backends") for name in imports(module) if name.startswith("django.db")}
    assert used == set()


def test_options_are_read_from_the_settings_in_one_place() -> None:
    readers = {module for module in modules() for text in literals(module) if text == "FINEUPLOADER_RECEIVERS"}
    assert readers == {"conf"}


def test_only_the_protocol_knows_the_names_of_the_wire() -> None:
    knowing = {part(module) for module in modules() for text in literals(module) if WIRE_NAME.search(text)}
    assert knowing == {"protocol"}


def literals(module: str) -> Iterator[str]:
    """The strings of a module but for its docstrings and comments."""
    docs = {id(node.value) for node in ast.walk(modules()[module]) if isinstance(node, ast.Expr)}
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def lengths() -> dict[str, int]:
    """How many lines each function takes."""
    found = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                found[f"{module}.{node.name}:{node.lineno}"] = node.end_lineno - node.lineno + 1
    return found


def test_modules_stay_short() -> None:
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in PACKAGE.rglob("*.py")
        if "migrations" not in path.parts and (count := len(path.read_text("utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_functions_stay_short() -> None:
    assert {name: count for name, count in lengths().items() if count > LONGEST_FUNCTION} == {}
    counts = sorted(lengths().values())
    assert counts[len(counts) * 9 // 10] <= NINE_IN_TEN


def test_every_module_says_what_it_is_for() -> None:
    silent = {module for module, tree in modules().items() if tree.body and ast.get_docstring(tree) is None}
    assert {module for module in silent if part(module) != "migrations"} == {"apps"}
