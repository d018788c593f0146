"""Several hosts of one site behind nginx, which sends each request to the next of them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from livesite.server import database, fetch, listen, make_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size {body_limit};
    upstream site {{
        {hosts}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
        }}
    }}
}}
"""


@dataclass(kw_only=True)
class Host:
    """One machine: gunicorn with two workers, and folders that no other host sees. It keeps its address for life."""

    folder: Path
    environment: dict[str, str]
    listener: socket.socket
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def start(self) -> None:
        """Start the server, in a process group of its own."""
        descriptor = self.listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "livesite.wsgi:application", "--bind", f"fd://{descriptor}"]
        command += ["--worker-class", "gthread", "--workers", "2", "--threads", "8"]
        with (self.folder / "server.log").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                pass_fds=[descriptor],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End all processes of the host at once, in the middle of whatever they do."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=30)
            self.process = None

    def run(self, *command: str, **changes: str) -> str:
        """Run a management command on the host; `changes` are of its environment."""
        arguments, environment = [sys.executable, "-m", "django", *command], {**self.environment, **changes}
        done = subprocess.run(arguments, env=environment, cwd=self.folder, check=True, stdout=subprocess.PIPE)
        return done.stdout.decode()

    def events(self) -> list[dict[str, Any]]:
        """The signals of the uploads that this host handled."""
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(kw_only=True)
class Cluster:
    """The hosts, dead ones too, and the port of the load balancer."""

    folder: Path
    environment: Mapping[str, str]
    port: int = 0
    hosts: list[Host] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The load balancer's."""
        return f"http://127.0.0.1:{self.port}"

    def add_host(self, listener: socket.socket) -> Host:
        """Start a new machine, with empty disks and a boot of its own, at an address."""
        folder = self.folder / f"host{len(self.hosts)}"
        (folder / "media").mkdir(parents=True)
        own = {"LIVESITE_FOLDER": str(folder), "HOSTS_BOOT": secrets.token_hex(16)}
        host = Host(folder=folder, environment={**self.environment, **own}, listener=listener)
        host.start()
        self.hosts.append(host)
        return host

    def replace(self, host: Host) -> Host:
        """Kill a host and put a new one in its place."""
        host.kill()
        return self.add_host(host.listener)

    def end(self) -> None:
        """Kill whatever lives."""
        for host in self.hosts:
            host.kill()

    def uploads(self) -> list[dict[str, Any]]:
        """All rows, with the digest of what each file in the store holds."""
        return list(fetch(f"{self.url}/control/uploads"))

    def signals(self, name: str) -> list[str]:
        """The uploads of which a signal was sent, on whatever host, once for each time."""
        return [event["uuid"] for host in self.hosts for event in host.events() if event["signal"] == name]


@contextlib.contextmanager
def cluster(
    folder: Path, nginx: str, storage: Mapping[str, Any], *, size: int = 3, body_limit: str = "6m"
) -> Iterator[Cluster]:
    """Run a site on so many hosts, with one database and one place for files."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(listen()) for _ in range(size)]
        balancer = stack.enter_context(listen())
        port = int(balancer.getsockname()[1])
        changes = {
            "DJANGO_SETTINGS_MODULE": "hosts.settings",
            "HOSTS_STORAGE": json.dumps(storage),
            "HOSTS_BOOT": "",
        }
        environment = make_environment(folder, folder, (port, listeners[0].getsockname()[1]), changes)
        stack.enter_context(database(environment))
        site = Cluster(folder=folder, environment=environment, port=port)
        stack.callback(site.end)
        for listener in listeners:
            site.add_host(listener)
        stack.enter_context(_nginx(nginx, folder, site, balancer, body_limit))
        yield site


@contextlib.contextmanager
def _nginx(program: str, folder: Path, site: Cluster, balancer: socket.socket, body_limit: str) -> Iterator[None]:
    """Run the load balancer; it takes the socket over from us, as from its predecessor in an upgrade."""
    hosts = "\n".join(f"server 127.0.0.1:{host.port} max_fails=1 fail_timeout=2s;" for host in site.hosts)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(user=user, folder=folder, hosts=hosts, port=site.port, body_limit=body_limit)
    )
    process = subprocess.Popen(
        [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)],
        env={**os.environ, "NGINX": f"{balancer.fileno()};"},
        pass_fds=[balancer.fileno()],
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)
