"""A fabric that carries frames from one node to another, and none back: F7 of docs/protections.md. Real namespaces, as in test_links.py."""

from __future__ import annotations

import test_links
from test_links import NODES, ip, judge, look

switched = test_links.fabric


def test_f7_a_way_that_is_dead_in_one_direction_is_refused_by_its_pair(switched: None) -> None:
    """A half-broken cable or a wrong rule of a switch: what n1 sends does not reach n3, and all else does."""
    ip("ebtables", "-A", "FORWARD", "-i", "port-n1", "-o", "port-n3", "-j", "DROP", namespace="switch")
    assert look("n2")["reached"] == {NODES["n1"]: True, NODES["n3"]: True}
    problems = judge()
    assert problems, "a group would start on it, and hang"
    assert all("n1" in text and "n3" in text and "n2" not in text for text in problems), problems
