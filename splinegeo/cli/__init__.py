"""What the commands of ``splinegeo`` do; the commands themselves are in `splinegeo.__main__`."""
