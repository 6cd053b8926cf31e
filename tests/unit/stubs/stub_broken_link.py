"""The supervisor with a stub of its link, whose thread ends, as by a bug of its own, once there is a file `break` beside NODE_JSON:
stub_broken_link.py NODE_JSON"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/engine/files/supervisor"))
import link
import link_head
import link_worker
import supervisor

if __name__ == "__main__":
    part = Path(sys.argv[1])

    def drop(kind: type[link.Link]) -> None:
        turn = kind._turn

        def broken(self: link.Link, now: float) -> None:
            if (part.parent / "break").exists():
                raise RuntimeError("a bug")
            turn(self, now)

        kind._turn = broken  # type: ignore[method-assign]

    for kind in (link_head.Head, link_worker.Worker):
        drop(kind)
    sys.exit(supervisor.Supervisor(json.loads(part.read_text())).run())
