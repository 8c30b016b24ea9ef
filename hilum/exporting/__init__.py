"""Ours out through every door: one file a format, one card for all, nothing half-written."""
