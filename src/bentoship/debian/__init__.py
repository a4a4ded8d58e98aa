"""Debian's packages without root: resolved and downloaded by the host's own apt, unpacked into separate folders."""
