"""What the server does by itself when an alert begins to fire, where people let it.

`wishes` says what a policy is, `standing` which are in force where, `deeds` what one makes of an alert, `records` what
was done before, and `policies` does it.
"""
