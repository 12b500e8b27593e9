"""Telling the other processes that a rule changed."""

from typing import Protocol


class Changes(Protocol):
    async def announce(self, rule_id: int) -> None:
        """Raises Unavailable, ResourceExhausted: the others then find out by their own reload."""
