"""Moments as the contract writes them: `Gmt...` members are local time (UTC+8), `Utc...` members are UTC."""

from datetime import UTC, datetime, timedelta, timezone

_LOCAL = timezone(timedelta(hours=8))


def local(ms: int) -> str | None:
    """`2018-08-06 10:47:50`; None when it never happened (0)."""
    return datetime.fromtimestamp(ms // 1000, _LOCAL).strftime("%Y-%m-%d %H:%M:%S") if ms else None


def utc(ms: int) -> str | None:
    """`2018-08-06T02:47:50.000Z`; None when it never happened (0)."""
    if not ms:
        return None
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
