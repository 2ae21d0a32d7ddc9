"""The command line: a client of the server's HTTP surface, and the demo."""
