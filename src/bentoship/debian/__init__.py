"""Debian's packages without root: resolved and downloaded by the host's own apt, unpacked into folders of ours."""
