"""Every error that kvproto raises on purpose, and what each one carries.

    KVProtoError
        ProtocolError: Truncated, ItemTooLarge, ParamsError
        WorkerError: WorkerNotStarted, WorkerExitedEarly, WorkerFailed, WorkerCrashed,
            WorkerReported, WorkerHung, WorkerClosedStdout, WorkerLeftChild
            WorkerOutputError: WorkerWroteText
        FilesError, KitFault, KnownError
        JobError: WaitTimeout (also a TimeoutError), ModUtilImportError (also an ImportError),
            TooManyBadRecords
            TaskError: Cancelled
        DataError: InvalidTag, NoSuchTag, DamagedTag

A mistake of the caller, such as an argument of the wrong type, is a TypeError or ValueError.
"""

from kvproto.errors.base import (
    KitFault,
    KnownError,
    KVProtoError,
)
from kvproto.errors.jobs import (
    Cancelled,
    DamagedTag,
    DataError,
    InvalidTag,
    JobError,
    ModUtilImportError,
    NoSuchTag,
    TaskError,
    TooManyBadRecords,
    WaitTimeout,
)
from kvproto.errors.protocol import (
    ItemTooLarge,
    ParamsError,
    ProtocolError,
    Truncated,
)
from kvproto.errors.workers import (
    FilesError,
    WorkerClosedStdout,
    WorkerCrashed,
    WorkerError,
    WorkerExitedEarly,
    WorkerFailed,
    WorkerHung,
    WorkerLeftChild,
    WorkerNotStarted,
    WorkerOutputError,
    WorkerReported,
    WorkerWroteText,
)

__all__ = [
    "Cancelled",
    "DamagedTag",
    "DataError",
    "FilesError",
    "InvalidTag",
    "ItemTooLarge",
    "JobError",
    "KVProtoError",
    "KitFault",
    "KnownError",
    "ModUtilImportError",
    "NoSuchTag",
    "ParamsError",
    "ProtocolError",
    "TaskError",
    "TooManyBadRecords",
    "Truncated",
    "WaitTimeout",
    "WorkerClosedStdout",
    "WorkerCrashed",
    "WorkerError",
    "WorkerExitedEarly",
    "WorkerFailed",
    "WorkerHung",
    "WorkerLeftChild",
    "WorkerNotStarted",
    "WorkerOutputError",
    "WorkerReported",
    "WorkerWroteText",
]

for _name in __all__:  # tracebacks show where to import it from
    globals()[_name].__module__ = __name__
