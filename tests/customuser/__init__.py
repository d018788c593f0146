"""A site whose users are its own: another model, another table, a UUID for a key."""
