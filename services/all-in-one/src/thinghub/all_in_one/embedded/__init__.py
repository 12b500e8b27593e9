"""The embedded parts: real Redis and PostgreSQL as supervised children, certificates, keys: one data directory."""
