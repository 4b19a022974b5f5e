"""How the tasks of a job get run: plan -> map tasks -> spool -> reduce tasks -> result files.

A `JobSpec` (`spec`) describes a job. `run_job` (`job`) runs it on any engine with a `run_stage`;
`LocalPool` (`pool`) is the one for this machine. Refuses to know the pipes of external programs
(`kvproto.driver`) and how a job is written down (`kvproto.classic`).
"""
