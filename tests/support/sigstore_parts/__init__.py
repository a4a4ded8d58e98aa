"""Stand-ins for Sigstore's services, on loopback. What is checked of them is checked by the sigstore library itself."""
