"""One external program, from its start to its end. Only this package knows pipes and processes."""
