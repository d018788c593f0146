#!/usr/bin/env python3
"""Set up and run the example project, or everything that is tested, from a bare checkout.

    python3 dev.py example [--port 8000] [--setup-only]
    python3 dev.py tests [--require-all] [--fast | --long] [arguments of pytest]

It needs Python and the package registries. What else the work takes (virtual environments, the client's npm package, a
browser, database servers) it looks for, and makes or installs where it may.
"""

from __future__ import annotations

import argparse
import sys

if sys.version_info < (3, 10):  # noqa: UP036 (what runs this file may be any Python)
    sys.exit("dev.py needs Python 3.10 or newer")

from tools import example, suite
from tools.shell import CannotRun


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the two commands."""
    parser = argparse.ArgumentParser(description="Set up and run the example project, or everything that is tested.")
    commands = parser.add_subparsers(dest="command", required=True)
    site = commands.add_parser("example", help="set up the example project and serve it on 127.0.0.1")
    site.add_argument("--port", type=int, default=8000)
    site.add_argument("--setup-only", action="store_true", help="stop when everything is in place")
    tests = commands.add_parser("tests", help="run every check; further arguments go to pytest")
    tests.add_argument("--require-all", action="store_true", help="fail when anything could not run or was skipped")
    tests.add_argument(
        "--fast", action="store_true", help="only lint, types and the newest Python and Django on SQLite"
    )
    tests.add_argument("--long", action="store_true", help="also a Ceph cluster, and crashes on PostgreSQL")
    return parser


def main() -> int:
    """Run the command and return the exit status."""
    parser = build_parser()
    options, rest = parser.parse_known_args()
    if options.command == "tests":
        return suite.run(pytest_arguments=rest, require_all=options.require_all, fast=options.fast, long=options.long)
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        python = example.set_up()
    except CannotRun as error:
        sys.exit(f"The example project cannot run: {error}")
    if not options.setup_only:
        example.serve(python, port=options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
