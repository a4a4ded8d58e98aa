"""Verification that a published image works: it is pulled by digest, started, sent a request, and stopped."""
