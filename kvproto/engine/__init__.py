"""How the tasks of a job get run: plan -> map tasks -> spool -> reduce tasks -> result files.

A job is described by a `JobSpec` (`spec`); `run` carries it out with any engine that has `run_stage`;
`local` is the one for this machine. Knows files and processes of its own; knows neither the pipes of
external programs (`kvproto.external`) nor how a job was written down (`kvproto.classic`).
"""
