"""The server side of the Fine Uploader JavaScript client, as a reusable Django app."""

__version__ = "0.1.0"
