"""What a user does, once, for every way of running the platform: a flow never asks which."""
