# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as a child: static files on the given addresses for the given peers, and nothing else."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import re
import signal
import subprocess
import time
from typing import Any

CONFIG = """\
daemon off;
user root;
worker_processes {workers};
pid {work}/nginx.pid;
error_log {work}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 300;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  client_body_temp_path {work}/tmp;
  proxy_temp_path {work}/tmp;
  fastcgi_temp_path {work}/tmp;
  uwsgi_temp_path {work}/tmp;
  scgi_temp_path {work}/tmp;
  server {{
{listen}
{allow}
    deny all;
    root {work}/files;
  }}
}}
"""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Make the kernel end this child when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def config(job: dict[str, Any]) -> str:
    """nginx's configuration; raises RuntimeError for a value that would be more than a value in it."""
    for address in [*job["listen"], *job["allow"]]:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise RuntimeError(f"{address!r}: wanted an IP address (gx10_fabric_address, gx10_management_address)") from None
    if not re.fullmatch(r"/[\w./@+-]+", job["work"]):
        raise RuntimeError(f"{job['work']!r}: wanted a path of letters, digits and ./@+-_ (gx10_state_dir)")
    hosts = [f"[{address}]" if ":" in address else address for address in job["listen"]]
    return CONFIG.format(
        work=job["work"],
        workers=max(2, min(job["lanes"], os.cpu_count() or 1)),
        listen="\n".join(f"    listen {host}:{int(job['port'])};" for host in hosts),
        allow="\n".join(f"    allow {peer};" for peer in job["allow"]),
    )


class Server:
    """Runs while the distribution runs."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.work = job, job["work"]
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start nginx; raises RuntimeError with its own words if it does not stay."""
        text, path = config(self.job), os.path.join(self.work, "nginx.conf")
        os.makedirs(os.path.join(self.work, "tmp"), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        # stderr too: until it has read its configuration, nginx reports there. No thread of ours runs yet (preexec_fn).
        with open(os.path.join(self.work, "error.log"), "ab") as log:
            self.child = subprocess.Popen(
                ["nginx", "-c", path, "-p", self.work],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        pid = os.path.join(self.work, "nginx.pid")
        for _attempt in range(100):
            if not self.alive():
                raise RuntimeError(f"nginx did not start: {self.log()}; is the port taken?")
            if os.path.exists(pid):
                return
            time.sleep(0.05)

    def alive(self) -> bool:
        """Does nginx run?"""
        return self.child is not None and self.child.poll() is None

    def log(self) -> str:
        """The end of nginx's log."""
        with open(os.path.join(self.work, "error.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-400:].strip()

    def stop(self) -> None:
        """End nginx and wait until it has gone."""
        if self.child is None or not self.alive():
            return
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
