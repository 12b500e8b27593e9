from thinghub.auth.app import serve
from thinghub.auth.settings import Settings
from thinghub.common.runtime import run_service


def main() -> int:
    return run_service("auth", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
