"""The ledger: numbered messages both ways while every part is killed and frozen; see docs/reference/ledger.md."""
