"""What the tests of this scenario share with those of others, and the matrix's driver."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "molecule/shared")]
