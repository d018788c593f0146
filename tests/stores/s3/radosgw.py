"""Ceph's radosgw, from Debian: a cluster of one monitor and one memory store, with the S3 gateway before it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stores.s3.ports import free_ports
from stores.s3.server import ACCESS_KEY, SECRET_KEY, S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data = {folder}/mon
mon data avail crit = 1
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw enable apis = s3
rgw data = {folder}/rgw
"""


@dataclass
class Cluster:
    """The processes of one cluster."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, *command: str) -> None:
        """Run a command of Ceph's to its end; fail with what it said."""
        done = subprocess.run(self._complete(command), cwd=self.folder, capture_output=True, check=False, timeout=120)
        if done.returncode:
            pytest.fail(f"`{' '.join(command)}` failed: {done.stderr.decode(errors='replace')[-1000:]}")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a server of Ceph's."""
        with (self.folder / f"{command[0]}.out").open("wb") as output:
            process = subprocess.Popen(self._complete(command), cwd=self.folder, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def _complete(self, command: tuple[str, ...]) -> list[str]:
        return [command[0], "--conf", str(self.folder / "ceph.conf"), *command[1:]]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[S3Server]:
    """Run the cluster with its data in a folder and in memory, until the block ends."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.fail(
            f"there is no Ceph: {', '.join(missing)} of the packages ceph-mon, ceph-osd and radosgw are missing"
        )
    mon, rgw = free_ports(2)
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    (folder / "ceph.conf").write_text(CONFIGURATION.format(fsid=fsid, mon=mon, rgw=rgw, folder=folder))
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    cluster = Cluster(folder)
    try:
        subprocess.run(
            ["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{mon}]", "monmap"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        cluster.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap")
        cluster.start("ceph-mon", "-i", "a", "-f")
        cluster.run("ceph", "--connect-timeout", "60", "osd", "new", osd)
        cluster.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        cluster.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        cluster.start("ceph-osd", "-i", "0", "-f")
        gateway = cluster.start("radosgw", "-n", "client.rgw", "-f")
        user = ["--uid=site", "--display-name=site", f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}"]
        cluster.run("radosgw-admin", "user", "create", *user)
        server = S3Server(f"http://127.0.0.1:{rgw}")
        server.make_bucket(gateway, folder / "radosgw.out")
        yield server
    finally:
        cluster.stop()
