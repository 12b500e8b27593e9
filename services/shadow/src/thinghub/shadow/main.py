from thinghub.common.runtime import run_service
from thinghub.shadow.app import serve
from thinghub.shadow.settings import Settings


def main() -> int:
    return run_service("shadow", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
