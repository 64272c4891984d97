"""`python -m errseg_ros.benchmark_node`."""

from __future__ import annotations

import sys

from errseg_ros.benchmark_node.main import main

if __name__ == "__main__":
    sys.exit(main())
