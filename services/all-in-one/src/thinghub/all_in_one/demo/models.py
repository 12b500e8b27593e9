"""The demo's thing models (TSL), as a maker of such devices would import them."""

from collections.abc import Mapping
from typing import Any


def _number(identifier: str, name: str, kind: str, low: float, high: float, unit: str) -> dict[str, Any]:
    specs = {"min": str(low), "max": str(high), "unit": unit, "step": "1" if kind == "int" else "0.1"}
    return {
        "identifier": identifier,
        "name": name,
        "accessMode": "r",
        "required": False,
        "dataType": {"type": kind, "specs": specs},
    }


# One model for all sensors: each posts what it measures, and a number of the reading, by which the demo finds its row.
SENSORS = {
    "properties": [
        _number("reading", "Number of the reading", "int", 0, 2**31 - 1, ""),
        _number("temperature", "Temperature", "double", -40, 80, "°C"),
        _number("humidity", "Relative humidity", "double", 0, 100, "%"),
        _number("moisture", "Moisture of the soil", "double", 0, 100, "%"),
        _number("light", "Illuminance", "double", 0, 200_000, "lx"),
    ],
}

SPEAKER = {
    "services": [
        {
            "identifier": "Announce",
            "name": "Announce an amount that was paid",
            "callType": "sync",
            "inputData": [
                {
                    "identifier": "amount",
                    "name": "Amount",
                    "dataType": {"type": "double", "specs": {"min": "0", "max": "100000", "step": "0.01"}},
                }
            ],
            "outputData": [
                {"identifier": "said", "name": "Words", "dataType": {"type": "text", "specs": {"length": "100"}}}
            ],
        }
    ],
}

Model = Mapping[str, Any]
