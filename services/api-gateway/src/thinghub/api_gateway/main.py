from thinghub.api_gateway.app import serve
from thinghub.api_gateway.settings import Settings
from thinghub.common.runtime import run_service


def main() -> int:
    return run_service("api-gateway", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
