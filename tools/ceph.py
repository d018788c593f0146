"""Ceph, whose S3 gateway is the second opinion on what S3 stores do."""

from __future__ import annotations

import shutil

from tools.shell import install_debian

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = ("ceph-common", "ceph-mon", "ceph-osd", "radosgw")


def need_ceph() -> None:
    """Install Ceph where it is missing; raise ``CannotRun`` where that is not possible."""
    if not all(map(shutil.which, PROGRAMS)):
        install_debian(*PACKAGES)
