"""Which of the services that apprise knows are none for a server.

Rules of this file: what shows a window or blinks where the server runs, runs a program there, or writes into the
system's log is refused by name, so that the refusal can say why. What the name does not tell the guard of
apprise_guard.py refuses when it happens.
"""

REFUSED_SCHEMES = (
    "blink1", "dbus", "deltachat", "deltachats", "file", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog",
    "windows",
)  # fmt: skip
