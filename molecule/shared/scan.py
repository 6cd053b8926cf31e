"""Which TCP ports answer, from where this runs: a connection to each. Standard library; it runs in a container that is no node.

    python3 scan.py < JOB.json     {"addresses": [ADDRESS], "first": PORT, "last": PORT}

Prints {"open": {ADDRESS: [PORT]}, "silent": {ADDRESS: [PORT]}, "seconds": S, "rate": CONNECTIONS_A_SECOND}. A port is silent when nothing
came back in any round, so that nobody can say whether it is open: a node that drops packets, or a network that loses them.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

Place = tuple[str, int]
# Connections in flight, and how long each waits for an answer, round by round.
WINDOW = 400
ROUNDS = (0.5, 1.0, 3.0)
# What connect(2) says of a port at which nobody listens.
CLOSED = (errno.ECONNREFUSED, errno.ECONNRESET)


def knock(targets: Iterable[Place], seconds: float) -> tuple[list[Place], list[Place]]:
    """(those that answer, those of which nothing was heard); raises OSError where an address cannot be reached at all."""
    found: list[Place] = []
    silent: list[Place] = []
    waiting: dict[int, tuple[socket.socket, Place]] = {}
    # In the order in which they began, so that the first is the first that is over. A number may be another socket's by then.
    order: deque[tuple[float, socket.socket]] = deque()
    poll = select.epoll()

    def judge(code: int, target: Place) -> None:
        if code == 0:
            found.append(target)
        elif code not in CLOSED:
            raise OSError(code, f"{target[0]}, port {target[1]}: {errno.errorcode.get(code, code)}")

    def begin(target: Place) -> None:
        one = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        code = one.connect_ex(target)
        if code == errno.EINPROGRESS:
            waiting[one.fileno()] = (one, target)
            poll.register(one, select.EPOLLOUT)
            order.append((time.monotonic() + seconds, one))
        else:
            one.close()
            judge(code, target)

    def collect(wait: float) -> None:
        for number, _event in poll.poll(wait, WINDOW):
            one, target = waiting.pop(number)
            code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            one.close()
            judge(code, target)
        while order and (order[0][1].fileno() < 0 or order[0][0] < time.monotonic()):
            _deadline, one = order.popleft()
            if one.fileno() >= 0:
                silent.append(waiting.pop(one.fileno())[1])
                one.close()

    try:
        for target in targets:
            while len(waiting) >= WINDOW:
                collect(0.01)
            begin(target)
            if len(order) % 50 == 0:
                collect(0)
        while waiting:
            collect(0.01)
        return found, silent
    finally:
        poll.close()
        for one, _target in waiting.values():
            one.close()


def scan(addresses: list[str], first: int, last: int) -> dict[str, Any]:
    """All ports of all addresses; port by port, so that no address gets all of the load at once."""
    started, count = time.monotonic(), 0
    found: list[Place] = []
    silent = [(address, port) for port in range(first, last + 1) for address in addresses]
    for seconds in ROUNDS:
        if silent:
            count += len(silent)
            more, silent = knock(silent, seconds)
            found += more

    def by_address(targets: list[Place]) -> dict[str, list[int]]:
        return {address: sorted(port for where, port in targets if where == address) for address in addresses}

    seconds = max(time.monotonic() - started, 0.001)
    return {"open": by_address(found), "silent": by_address(silent), "seconds": round(seconds, 1), "rate": round(count / seconds)}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    print(json.dumps(scan(job["addresses"], job["first"], job["last"])))
