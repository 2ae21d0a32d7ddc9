"""What a person waits for at the page, in a real Chromium: benchmarks/page.py."""
