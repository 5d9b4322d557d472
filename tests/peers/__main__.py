"""Print the table of README, and each case that is left out with its reason."""

import sys

from tests.peers import SUITES, table

out = [f"{s.name}: {case}: {reason}" for s in SUITES for case, reason in s.left_out.items()]
sys.stdout.write("\n".join([table(), *out, ""]))
