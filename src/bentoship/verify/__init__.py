"""The proof that a published image works: pulled by digest, started, asked, stopped."""
