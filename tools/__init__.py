"""What ``dev.py`` is made of; Python's standard library only."""
