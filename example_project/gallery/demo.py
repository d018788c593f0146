"""The accounts that the demonstration starts with."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DemoUser:
    """An account whose password everybody may know."""

    name: str
    password: str
    is_admin: bool = False


DEMO_USERS = (
    DemoUser(name="alice", password="alice-demo"),
    DemoUser(name="bob", password="bob-demo"),
    DemoUser(name="admin", password="admin-demo", is_admin=True),
)
