"""The wire: what Fine Uploader sends and understands. Nothing outside this package knows the parameters' names."""
