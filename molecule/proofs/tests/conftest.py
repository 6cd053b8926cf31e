"""What the tests of this scenario share with those of others."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from sim import *  # noqa: F403
