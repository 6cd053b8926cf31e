# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module cluster_lock: who this run is, whether the run that holds the lock lives, and what renews it."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.module_utils.node._lock import who
from ansible_collections.gx10.serving.plugins.module_utils.phases import _locks

TICK = 0.5
LOST = 3


def place() -> dict[str, str]:
    """Where a process number means something. Containers share host names and machine IDs, or have none: only all of it together counts."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return {
        "control": socket.gethostname(),
        "machine": machine,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "pidns": os.readlink("/proc/self/ns/pid"),
    }


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty if it has ended, "?" if this user may not see it (hidepid)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "?"
    fields = stat[stat.rindex(")") + 2 :].split()
    return "" if fields[0] in "ZX" else fields[19]


def holder_of(pid: int) -> dict[str, Any]:
    """A process of this machine, with a name that no other process anywhere ever has."""
    here, start = place(), started(pid)
    return {**here, "pid": pid, "started": start, "run": f"{here['boot']} {here['pidns']} {pid} {start}"}


def this_run() -> dict[str, Any]:
    """The run that a task belongs to: it runs in a child of ansible-playbook."""
    return holder_of(os.getppid())


def gone(held: Mapping[str, Any]) -> bool:
    """Has the run that holds a lock ended? Only where its number means the same can anybody tell."""
    if any(held.get(key) != value for key, value in place().items()):
        return False
    return started(held["pid"]) not in (held["started"], "?")


class Mute:
    """In place of the queue to ansible-playbook, for what nobody shall see."""

    def send_display(self, *_args: Any, **_kwargs: Any) -> None:
        pass


def detach(keep: int) -> None:
    """Away from the terminal, and from everything whose end somebody may wait for. The worker's standard streams are /dev/null already."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    # Not closed: whoever believes in such a number, as a log does, must not write to what gets it next.
    for inherited in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, keep, null}:
        os.dup2(null, inherited, inheritable=False)
    Display().set_queue(Mute())


def wait(seconds: float, until: Callable[[], bool]) -> bool:
    """Wait until something is so; False if it was not within these seconds."""
    deadline = time.monotonic() + seconds
    while not until():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, TICK))
    return True


def keep(lease: float, over: Callable[[], bool], renew: Callable[[], bool]) -> None:
    """Renew a lock until the run is over or the lock lost; an attempt is a process, so that a node that hangs does not hold up the end."""
    while not wait(lease / 4, over):
        attempt = os.fork()
        if not attempt:
            code = 1
            try:
                os.setpgid(0, 0)
                code = 0 if renew() else LOST
            finally:
                os._exit(code)
        # Here, too: whoever is first.
        os.setpgid(attempt, attempt)
        wait(lease, lambda: over() or os.waitid(os.P_PID, attempt, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)  # noqa: B023
        os.killpg(attempt, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(attempt, 0)[1]) == LOST:
            return


class ActionModule(ActionBase):
    """Asks the node; only this machine knows its processes."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        holder = {**this_run(), "token": uuid.uuid4().hex}

        def ask(**more: Any) -> dict[str, Any]:
            arguments = {**self._task.args, "holder": holder, **more}
            found: dict[str, Any] = self._execute_module(
                module_name="gx10.serving.cluster_lock", module_args=arguments, task_vars=task_vars
            )
            return found

        state = self._task.args.get("state", "present")
        if self._task.check_mode or state == "absent":
            return ask()
        taken = self._leave_renewer(holder, ask) if state == "present" else None
        try:
            answer = ask()
            held = answer.get("held_by")
            if held and gone(held):
                answer = ask(gone=held["run"])
            if taken is not None and answer.get("lease") and not answer["held_by"]:
                os.write(taken, str(answer["lease"]).encode())
        finally:
            if taken is not None:
                os.close(taken)
        self._judge(answer, self._task.delegate_to or (task_vars or {}).get("inventory_hostname", ""))
        return answer

    def _judge(self, answer: dict[str, Any], node: str) -> None:
        """Put into words what was found."""
        path = self._task.args.get("path")
        held, before = answer.get("held_by"), answer.get("taken_from")
        if held:
            answer["failed"] = True
            answer["msg"] = str(_locks.locked(node, str(path), held, held["age"], held["held"]))
        elif answer.get("failed"):
            answer["msg"] = f"{node}: {answer.get('msg')}"
        elif before:
            why = "that process has ended" if gone(before) else f"not renewed for {before['age']:.0f} s, its lease is {before['lease']} s"
            Display().warning(f"{node}: {path}: took the cluster's lock over from {who(before)}: {why}.")

    def _leave_renewer(self, holder: dict[str, Any], ask: Callable[..., dict[str, Any]]) -> int:
        """A process that renews the lock for as long as the run lives, once it is told the lease; returns where to tell.

        It is made before anything is asked, while the connection is not open: so every connection plugin can open its own there.
        It is init's when this worker ends, with its task.
        """
        listen, tell = os.pipe()
        if os.fork():
            os.close(listen)
            return tell
        try:
            detach(listen)
            lease = os.read(listen, 32)
            if lease:
                keep(int(lease), lambda: started(holder["pid"]) != holder["started"], lambda: self._renew(ask))
        finally:
            os._exit(0)

    def _renew(self, ask: Callable[..., dict[str, Any]]) -> bool:
        """Renew the lock; False if it is not ours. A module that failed has told nothing."""
        try:
            return bool(ask(state="renewed").get("renewed", True))
        finally:
            self.cleanup()
