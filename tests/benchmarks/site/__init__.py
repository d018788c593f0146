"""The Django site under measurement, in its plainest form."""
