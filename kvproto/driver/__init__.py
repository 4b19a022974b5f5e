"""The driver: one external program, from its start to its end. The only package that knows pipes and processes."""
