"""The append-only event log: what happened and what was decided, durable before it matters."""
