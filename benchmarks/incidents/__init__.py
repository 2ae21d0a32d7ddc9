"""Every scenario against a real server, its incident mended while it trains: benchmarks/scenarios.py."""
