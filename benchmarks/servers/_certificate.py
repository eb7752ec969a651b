"""A certificate for the servers that speak TLS: made on the fly, the same kind for all of them (ECDSA, P-256)."""

import ssl

import trustme

CHAIN = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem


def server_context() -> ssl.SSLContext:
    """Return a context as users of asyncio make it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with CHAIN.tempfile() as path:
        context.load_cert_chain(path)
    return context
