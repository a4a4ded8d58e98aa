"""Layers on this machine: how they are made, compressed, cached, and found again."""
