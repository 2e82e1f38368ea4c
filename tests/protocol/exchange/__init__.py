"""The exchange's faces, spoken to over sockets: real loopback ones, and in-memory ones on virtual time."""
