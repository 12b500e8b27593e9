"""The thing model (TSL): parsed and checked once, then compiled to a validator (device-mqtt §4, open-api §4)."""
