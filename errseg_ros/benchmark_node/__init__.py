"""Measures the node as it runs on a vehicle: `python -m errseg_ros.benchmark_node`, or `make benchmark-node`."""
