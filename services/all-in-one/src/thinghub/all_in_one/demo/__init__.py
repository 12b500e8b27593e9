"""The demo of `thinghub up`: three simulated devices, one rule, one command every few seconds.

It is a user of the platform like any other: it speaks MQTT as a device and the signed API as a server, and reads the
table that the rule writes.
"""
