# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a node's hardware, as types: its GPU, the ports of its fabric, and the fabric behind them. PRIVATE to the collection."""

from __future__ import annotations

from typing import TypedDict


class Gpu(TypedDict):
    name: str


class SmiGpu(Gpu):
    driver: str
    memory_mib: int | None


class Gid(TypedDict):
    index: int
    address: str
    type: str | None


class Rdma(TypedDict):
    device: str
    firmware: str | None
    state: str | None
    gids: list[Gid]


class Pcie(TypedDict):
    width: int | None
    max_width: int | None
    speed: float | None
    max_speed: float | None


class Link(TypedDict):
    address: str
    interface: str
    operstate: str | None
    carrier: bool | None
    speed_mbps: int | None
    mtu: int | None
    pcie: Pcie | None
    rdma: Rdma | None


class Hardware(TypedDict):
    """None is unknown. `memory`: bytes by field of /proc/meminfo."""

    architecture: str
    kernel: str
    bios: str | None
    driver: str | None
    gpus: list[Gpu] | None
    memory: dict[str, int]
    links: list[Link]


class Fabric(TypedDict):
    """`routes`: the interface by peer; `reached`: by peer, None where nobody can tell; `down`: links that are not up."""

    interface: str | None
    state: str | None
    beside: list[str]
    routes: dict[str, str | None]
    reached: dict[str, bool | None]
    down: list[str]
