"""A server of TFTP (RFC 1350): its packets, one transfer, and the server of them."""
