"""The TLS context of a port that serves HTTPS."""

import ssl

from thinghub.common.settings import SettingsError


def server_context(cert_file: str, key_file: str, what: str) -> ssl.SSLContext | None:
    """None when no certificate is named: the port speaks plain HTTP only. `what` names the certificate in the
    SettingsError that files which cannot be used raise."""
    if not cert_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"{what} cannot be used: {error}") from None
    return context
