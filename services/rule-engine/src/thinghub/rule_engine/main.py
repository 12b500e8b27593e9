"""`python -m thinghub.rule_engine.main`: the rule engine as a process of its own."""

from thinghub.common.runtime import run_service
from thinghub.rule_engine.app import serve
from thinghub.rule_engine.settings import Settings


def main() -> int:
    return run_service("rule-engine", Settings, serve)


if __name__ == "__main__":
    raise SystemExit(main())
