# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look from a node at its fabric: which interface holds the address, is it up, who answers there. Runs on the nodes. PRIVATE.

Two independent signs for a peer: any answer over TCP (a refusal is one), and an answer to ARP, which no firewall rule on TCP hides.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from ._hardware_types import Fabric

ETH_P_ARP = 0x0806
# sshd's; whether anybody listens does not matter.
PORT = 22


def beside(links: list[dict[str, Any]], link: dict[str, Any], rails: list[str]) -> list[str]:
    """The other links of the fabric: with an address in the same network (both halves of a port often have one), or of a rail."""
    network = ipaddress.ip_network(link["network"])
    found = {
        other["ifname"]
        for other in links
        for entry in other.get("addr_info", [])
        if entry.get("family") == "inet"
        and "local" in entry
        and (entry["local"] in rails or ipaddress.ip_address(entry["local"]) in network)
    }
    return sorted(found - {link["name"]})


def holder(links: list[dict[str, Any]], address: str) -> dict[str, Any] | None:
    """The link (`ip -j address show`) that holds an address: {name, state, mac, network}, or None. `state` is UP, or what is wrong."""
    for link in links:
        for entry in link.get("addr_info", []):
            if entry.get("local") == address:
                network = ipaddress.ip_network(f"{address}/{entry['prefixlen']}", strict=False)
                ethernet = link.get("link_type") == "ether"
                return {"name": link["ifname"], "state": state(link), "mac": link["address"] if ethernet else None, "network": str(network)}
    return None


def state(link: dict[str, Any]) -> str:
    """UP, or what is wrong. A loopback or a tunnel has no state of its own (UNKNOWN) and counts as up."""
    if link.get("operstate") in ("UP", "UNKNOWN"):
        return "UP"
    return "DOWN (no carrier)" if "UP" in link.get("flags", []) else "DOWN (switched off)"


def tcp(interface: str, source: str, peers: list[str], seconds: float) -> set[str]:
    """The peers that answer a connection attempt sent from this interface and address, in whatever way."""
    waiting: dict[int, tuple[socket.socket, str]] = {}
    answered: set[str] = set()
    with contextlib.ExitStack() as stack:
        for peer in peers:
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            with contextlib.suppress(PermissionError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            try:
                probe.bind((source, 0))
                code = probe.connect_ex((peer, PORT))
            except OSError as error:
                code = error.errno or errno.EIO
            if code in (0, errno.ECONNREFUSED):
                answered.add(peer)
            elif code == errno.EINPROGRESS:
                waiting[probe.fileno()] = (probe, peer)
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            _read, ready, _failed = select.select([], list(waiting), [], max(0.0, deadline - time.monotonic()))
            for number in ready:
                probe, peer = waiting.pop(number)
                if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED, errno.ECONNRESET):
                    answered.add(peer)
    return answered


def arp(interface: str, mac: str, source: str, peers: list[str], seconds: float) -> set[str] | None:
    """The peers that answer ARP on this interface; None where this process may not ask."""
    own = bytes.fromhex(mac.replace(":", ""))
    answered: set[str] = set()
    try:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    except PermissionError:
        return None
    with raw:
        try:
            raw.bind((interface, ETH_P_ARP))
            deadline, ask_again = time.monotonic() + seconds, 0.0
            while set(peers) - answered and time.monotonic() < deadline:
                if time.monotonic() >= ask_again:
                    for peer in sorted(set(peers) - answered):
                        head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
                        body = own + socket.inet_aton(source) + bytes(6) + socket.inet_aton(peer)
                        raw.send(b"\xff" * 6 + own + struct.pack("!H", ETH_P_ARP) + head + body)
                    ask_again = time.monotonic() + 0.5
                ready, _write, _failed = select.select([raw], [], [], 0.1)
                frame = raw.recv(128) if ready else b""
                # An answer (operation 2), from the sender's protocol address.
                if len(frame) >= 42 and frame[20:22] == b"\x00\x02":
                    sender = socket.inet_ntoa(frame[28:32])
                    answered |= {sender} & set(peers)
        except OSError:
            return answered  # the interface is down: nobody answers
    return answered


def look(run: Callable[[list[str]], tuple[int, str, str]], address: str, peers: list[str], rails: list[str]) -> Fabric:
    """What a node sees of the fabric.

    `run` runs a command: (code, stdout, stderr); `rails` are the node's addresses on all halves of the fabric's ports.
    `interface` is None where no link holds the address: networkd takes addresses from a
    link that goes down, so `down` names the links that are. A peer in another network that
    does not answer over TCP is null, unknown: a firewall may be the reason.
    """
    code, out, _err = run(["ip", "-j", "address", "show"])
    links = [] if code else json.loads(out)
    link = holder(links, address)
    found: Fabric = {"interface": None, "state": None, "beside": [], "routes": {}, "reached": {}, "down": []}
    if link is None:
        found["down"] = [f"{item['ifname']} {state(item)}" for item in links if item.get("link_type") == "ether" and state(item) != "UP"]
        return found
    found["interface"], found["state"], found["beside"] = link["name"], link["state"], beside(links, link, rails)
    others = [peer for peer in peers if peer != address]
    if link["state"] != "UP":
        return found
    for peer in others:
        code, out, _err = run(["ip", "-j", "route", "get", peer, "from", address])
        routes = [] if code or not out.strip() else json.loads(out)
        found["routes"][peer] = routes[0].get("dev") if routes else None
    reached = tcp(link["name"], address, others, 2.0)
    silent = [peer for peer in others if peer not in reached]
    near = [peer for peer in silent if ipaddress.ip_address(peer) in ipaddress.ip_network(link["network"])]
    heard = arp(link["name"], link["mac"], address, near, 2.0) if near and link["mac"] else None
    for peer in others:
        unknown = peer not in near or heard is None
        found["reached"][peer] = True if peer in reached or peer in (heard or ()) else None if unknown else False
    return found
