from thinghub.common.runtime import run_service
from thinghub.device_registry.app import serve
from thinghub.device_registry.settings import Settings


def main() -> int:
    return run_service("device-registry", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
