"""What a run is asked, and what it found."""

from dataclasses import dataclass

from bench.ledger.account import Direction


@dataclass(frozen=True)
class Options:
    messages: int
    gateways: int
    devices: int
    rate: float
    seconds: float
    seed: int
    kills: int
    freezes: int
    lease: float
    redis: str
    logs: str


@dataclass
class Result:
    """`stalled` names faults after which messages did not flow again; `restarted` what ended by itself."""

    options: Options
    up: Direction
    down: Direction
    status_mismatches: list[str]
    kills: int
    freezes: int
    seconds: float
    stalled: list[str]
    restarted: list[str]
    sessions_forgotten: int
    unpromised: int
    pubacks_out_of_order: int
    rows_reordered: int
    refused_reasons: dict[str, int]
    outcomes: dict[str, int]
    connects: int
    hops: int

    @property
    def clean(self) -> bool:
        wrong = self.status_mismatches or self.stalled or self.pubacks_out_of_order
        return self.up.clean and self.down.clean and not wrong
