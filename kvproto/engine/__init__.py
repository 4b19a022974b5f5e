"""Run the tasks of a job: plan -> map tasks -> spool -> reduce tasks -> result files.

A `JobSpec` (`spec`) describes a job. `run_job` (`job`) runs it on any engine with a `run_stage`;
`LocalPool` (`pool`) is the one for this machine. The engine knows nothing about the pipes of
external programs (`kvproto.driver`) or how a user writes a job (`kvproto.classic`).
"""
