from thinghub.common.runtime import run_service
from thinghub.ota.app import serve
from thinghub.ota.settings import Settings


def main() -> int:
    return run_service("ota", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
