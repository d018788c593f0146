"""nginx in front of the live site, as impatient as it can be made: five seconds, then the request is repeated."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_SECONDS = 5
BODY_LIMIT = 6 * 2**20

# max_fails=0: both servers are the same site, which must not be taken for dead because a storage is slow.
CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ }}
http {{
    log_format lines escape=json
        '{{"path":"$uri","status":"$status","upstreams":"$upstream_addr","port":"$server_port"}}';
    access_log {folder}/access.jsonl lines;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size {limit};
    upstream site {{
        server 127.0.0.1:{upstreams[0]} max_fails=0;
        server 127.0.0.1:{upstreams[1]} max_fails=0;
    }}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_read_timeout {seconds}s;
    proxy_next_upstream error timeout non_idempotent;
    {servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port} backlog=128;
        location / {{
            proxy_request_buffering {buffering};
            proxy_pass http://site;
        }}
    }}
"""


@contextlib.contextmanager
def nginx(program: str, folder: Path, upstreams: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Run nginx on two ports: the first buffers requests, the second passes bodies on as they come.

    It takes the sockets over from us, as it does from its predecessor in an upgrade, so that no port is guessed.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128)) for _ in range(2)]
        ports = (sockets[0].getsockname()[1], sockets[1].getsockname()[1])
        configuration = folder / "nginx.conf"
        configuration.write_text(configure(folder, upstreams, ports))
        descriptors = [one.fileno() for one in sockets]
        inherited = "".join(f"{descriptor};" for descriptor in descriptors)
        process = subprocess.Popen(
            [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)],
            env={**os.environ, "NGINX": inherited},
            pass_fds=descriptors,
        )
        try:
            yield ports
        finally:
            process.terminate()
            process.wait(timeout=30)


def configure(folder: Path, upstreams: tuple[int, int], ports: tuple[int, int]) -> str:
    """Return the configuration; as root, the workers must be told to stay root to reach the tests' folder."""
    servers = [
        SERVER.format(port=port, buffering=buffering) for port, buffering in zip(ports, ("on", "off"), strict=True)
    ]
    return CONFIGURATION.format(
        user="user root;" if os.geteuid() == 0 else "",
        folder=folder,
        limit=BODY_LIMIT,
        upstreams=upstreams,
        seconds=PATIENCE_SECONDS,
        servers="".join(servers),
    )
