#!/bin/sh
# The field's contract: no arguments, cwd is this folder, WORKSPACE_DIR is set, non-zero fails the launch.
set -eu
exec python3 -B apply.py
