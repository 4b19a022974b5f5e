"""Where bytes live: atomic files, job directories, spool and result files, tags and blobs."""
