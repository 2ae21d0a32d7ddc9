"""The lossguard server: takes what trainers stream, stores it, judges it, serves the page and carries commands back."""

__version__ = "0.1.0"
