"""Whether a command helped, some steps after it was applied.

`stretch` says which steps are compared, `robust` how two sides of noise are, `verdict` what that amounts to, and
`sentence` says it (all pure); `evidence` reads what they need, and `effects` does it for every command, once.
"""
