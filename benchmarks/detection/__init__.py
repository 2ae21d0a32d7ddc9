"""How well detectors find real training failures, and how often they cry wolf: benchmarks/detectors.py."""
