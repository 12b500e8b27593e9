"""Entry point of the service as a process of its own."""

from thinghub.common.runtime import run_service
from thinghub.connection_gateway.app import serve
from thinghub.connection_gateway.settings import Settings


def main() -> int:
    return run_service("connection-gateway", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
