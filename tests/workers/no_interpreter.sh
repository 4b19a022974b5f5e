#!/no/such/interpreter
# WorkerNotStarted: its interpreter is not there.
