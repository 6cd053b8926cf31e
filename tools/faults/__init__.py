"""Faults done to a group that serves on the virtual cluster, and what came of each."""
