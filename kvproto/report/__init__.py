"""The report about a job: `course` reads its events, and the other modules show them."""
