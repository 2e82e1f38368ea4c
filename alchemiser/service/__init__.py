"""The daemon itself: settings, clock, wiring, schedule, health, metrics, logs."""
