"""Speed, as ratios in one run against a named peer or this machine's own limit: `python -m benchmarks.NAME`."""
