"""The supervisor with a stub of the host's memory: stub_memory.py NODE_JSON; the GiB available stand in the file `memory` beside it."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/engine/files/supervisor"))
import supervisor

if __name__ == "__main__":
    part = Path(sys.argv[1])
    stubbed = supervisor.Supervisor(json.loads(part.read_text()))
    stubbed.guard.floor.read = lambda: float((part.parent / "memory").read_text())
    sys.exit(stubbed.run())
