"""Where bytes live: files that are whole or absent, job directories, results, tags."""
