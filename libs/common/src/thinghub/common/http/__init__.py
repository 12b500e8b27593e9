"""HTTP for services that have a port of their own: `listener` (HTTP and HTTPS on one socket), `protocol`, `tls`."""
