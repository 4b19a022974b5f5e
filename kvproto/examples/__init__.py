"""Jobs and worker programs to start from."""
