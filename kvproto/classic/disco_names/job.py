"""The old `Job` and `Disco`: those of kvproto, with what else programs for the original ask of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from kvproto.classic import core, job
from kvproto.classic.disco_names.ddfs import DDFS
from kvproto.classic.disco_names.settings import DiscoSettings
from kvproto.classic.disco_names.worker import Worker

__all__ = ["Disco", "Job"]

_HOST = socket.gethostname()


class Disco(core.Disco):
    """The jobs of this user. `master` is an address and `settings` DiscoSettings, which mean nothing here."""

    def __init__(self, master=None, settings=None, proxy=None) -> None:
        settings = DiscoSettings() if settings is None else settings
        super().__init__(master or DiscoSettings(settings)["DISCO_MASTER"], settings, proxy)

    def __repr__(self) -> str:
        return f"Disco master at {self.master}"

    @property
    def ddfs(self) -> DDFS:
        """The tags of this user."""
        return DDFS(self.master)

    def new_job(self, name: str, **jobargs) -> Job:
        """Start a job: `Job(name).run(**jobargs)`."""
        return Job(name=name, master=self).run(**jobargs)

    def jobinfo(self, jobname: str) -> dict:
        """What there is to tell of a job in short; its status is there as `active` too."""
        info = super().jobinfo(jobname)
        return {**info, "active": info["status"]}

    def events(
        self, jobname: str, offset: int = 0, follow: bool = False
    ) -> Iterator[tuple[int, tuple[str, str, str]]]:
        """Yield (offset, (time, host, message)) for what the job has told, three str."""
        for behind, event in super().events(jobname, offset, follow):
            moment = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(event["time"]))
            yield behind, (moment, _HOST, _message(event))


class Job(job.Job):
    """A map/reduce job. `settings` is what its Disco has."""

    Worker = Worker
    Disco = Disco

    @property
    def settings(self):
        """The settings that the job was given, or DiscoSettings."""
        return self.disco.settings


def _message(event: dict) -> str:
    """An event in a line, as the original told it: what happened, and where."""
    kind, where = event["event"], f"[{event.get('stage')}:{event.get('task', '')}]"
    texts = {
        "job": lambda: f"New job: {event['job']}",
        "stage": lambda: f"{event['stage']}: {event['tasks']} tasks",
        "progress": lambda: f"{event['stage']}: {event['done']} of {event['total']} tasks are done",
        "message": lambda: f"MSG: {where} {event['text']}",
        "note": lambda: f"MSG: {event['text']}",
        "retry": lambda: f"WARN: {where} {event['text']}",
        "done": lambda: "READY: Job finished",
        "failed": lambda: f"ERROR: {event['text']}",
    }
    return texts[kind]() if kind in texts else kind
