"""What proves where an image comes from and what is in it: SBOM, provenance, test results, and signatures of them."""
