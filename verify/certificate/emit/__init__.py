"""Writing proofs: a recording turned into the checker's terms and evaluated there. See `verify.certificate.proof`."""
