"""The demo of `thinghub up`: a greenhouse with three sensors, a socket that a server switches, a speaker of a till.

It is a user of the platform like any other: its devices speak MQTT by the device-sdk, its server the signed API, and it
reads the table that the rule writes.
"""
