"""VNN-LIB 2.0: text -> tokens -> declarations and assertions -> names and types looked up -> `verify.query.Spec`."""
