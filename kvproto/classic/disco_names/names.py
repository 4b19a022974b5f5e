"""Tables of the old names: where they are now, or what replaces them.

The old names are those of Disco and those of kvproto's own modules that have moved.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["GONE", "MODULES", "MOVED", "exports"]

_OLD = "kvproto.classic.disco_names."
_FUNC = ("kvproto.classic.func", "kvproto.classic.task_io", _OLD + "jobs:notifier")
_WORKER = ("kvproto.classic.worker", _OLD + "jobs:Worker free_names")
_SCHEME = (_OLD + "files:import_scheme input_stream open open_chain",)
_COMPAT = (
    _OLD + "compat:BytesIO StringIO UnpicklingError basestring bytes_of_int bytes_to_str file "
    "force_ascii force_utf8 http_server httplib int_of_byte integer_types pickle_dump "
    "pickle_dumps pickle_load pickle_loads socket_server str_to_bytes urlencode "
    "zip_longest",
)
_ERROR = (_OLD + "compat:CommError DataError DiscoError JobError",)
_MODUTIL = (
    _OLD + "compat:ModUtilImportError find_modules guess_modules locate_modules parse_function",
)
_NETSTRING = (
    _OLD + "compat:MAX_LEN_STRING MAX_PACKET_LEN NetStringError decode_netstring_fd "
    "decode_netstring_str encode_netstring_fd encode_netstring_str",
)

MODULES: dict[str, tuple[str, ...]] = {
    "disco": (_OLD + "jobs:external",),
    "disco.compat": _COMPAT,
    "disco.core": (
        "kvproto.classic.core",
        "kvproto.classic.params",
        _OLD + "jobs:Disco Job classic_iterator",
        *_ERROR,
    ),
    "disco.ddfs": ("kvproto.classic.ddfs", _OLD + "files:DDFS"),
    "disco.error": _ERROR,
    "disco.fileutils": (_OLD + "files:DiscoOutputStream",),
    "disco.func": _FUNC,
    "disco.job": (_OLD + "jobs:Disco Job", "kvproto.classic.chain"),
    "disco.modutil": _MODUTIL,
    "disco.netstring": _NETSTRING,
    "disco.schemes": _SCHEME,
    "disco.schemes.scheme_dir": _SCHEME,
    "disco.schemes.scheme_disco": _SCHEME,
    "disco.schemes.scheme_file": _SCHEME,
    "disco.schemes.scheme_http": _SCHEME,
    "disco.schemes.scheme_https": _SCHEME,
    "disco.schemes.scheme_raw": _SCHEME,
    "disco.schemes.scheme_tag": _SCHEME,
    "disco.settings": (_OLD + "compat:DiscoSettings",),
    "disco.task": ("kvproto.classic.task", _OLD + "jobs:Task"),
    "disco.test": ("kvproto.classic.testing",),
    "disco.util": ("kvproto.classic.util", _OLD + "util"),
    "disco.worker": _WORKER,
    "disco.worker.classic": (),
    "disco.worker.classic.external": (_OLD + "jobs:MAX_ITEM_SIZE package",),
    "disco.worker.classic.func": _FUNC,
    "disco.worker.classic.modutil": _MODUTIL,
    "disco.worker.classic.netstring": _NETSTRING,
    "disco.worker.classic.worker": (*_WORKER, *_FUNC),
    "disco.worker.modutil": _MODUTIL,
    "disco.worker.task_io": ("kvproto.classic.task_io",),
}
"""Old module -> the modules whose `__all__` it has, or MODULE:NAMES for some names of one."""

MOVED: dict[str, tuple[str, ...]] = {
    "kvproto.classic.alias.compat": _COMPAT,
    "kvproto.classic.alias.core": (_OLD + "jobs:classic_iterator",),
    "kvproto.classic.alias.ddfs": (_OLD + "files:DDFS",),
    "kvproto.classic.alias.error": _ERROR,
    "kvproto.classic.alias.external": (_OLD + "jobs:MAX_ITEM_SIZE package",),
    "kvproto.classic.alias.fileutils": (_OLD + "files:DiscoOutputStream",),
    "kvproto.classic.alias.func": (_OLD + "jobs:notifier",),
    "kvproto.classic.alias.job": (_OLD + "jobs:Disco Job",),
    "kvproto.classic.alias.modutil": _MODUTIL,
    "kvproto.classic.alias.names": (_OLD + "names:GONE MODULES",),
    "kvproto.classic.alias.netstring": _NETSTRING,
    "kvproto.classic.alias.schemes": _SCHEME,
    "kvproto.classic.alias.settings": (_OLD + "compat:DiscoSettings",),
    "kvproto.classic.alias.task": (_OLD + "jobs:Task",),
    "kvproto.classic.alias.top": (_OLD + "jobs:external",),
    "kvproto.classic.alias.util": (_OLD + "util",),
    "kvproto.classic.alias.worker": (_OLD + "jobs:Worker free_names",),
    "kvproto.classic.blobs": ("kvproto.storage.blobs:CHUNK_SIZE Blobs blob_name read_blocks",),
    "kvproto.classic.command": ("kvproto.cli.run_job:jobargs_of run",),
    "kvproto.classic.figures": ("kvproto.classic.progress:Stage amount",),
    "kvproto.classic.finding": ("kvproto.cli.run_job:find_function find_job of_the_user",),
    "kvproto.classic.hunks": (
        "kvproto.storage.hunks:Bytes HunkWriter encode_netstrings read_hunks read_netstrings",
    ),
    "kvproto.classic.live": ("kvproto.classic.progress:LiveLines",),
    "kvproto.classic.old_parameters": (
        "kvproto.classic.checks:NEEDLESS REFUSED attributes check_names",
        "kvproto.classic.parameters:SYNONYMS",
    ),
    "kvproto.classic.output": ("kvproto.cli.run_job:Output", "kvproto.cli.shared:FORMS"),
    "kvproto.classic.reading": ("kvproto.classic.results:result_iterator",),
    "kvproto.classic.running": ("kvproto.classic.threads:Run stop stopping",),
    "kvproto.classic.schemes.address": ("kvproto.inputs.schemes.web:request_for",),
    "kvproto.classic.schemes.dir": ("kvproto.inputs.schemes.lists:find",),
    "kvproto.classic.schemes.disco": ("kvproto.inputs.schemes.nodes:find open",),
    "kvproto.classic.schemes.files": ("kvproto.inputs.schemes.files:find local_path open",),
    "kvproto.classic.schemes.folders": ("kvproto.inputs.schemes.folders:Search",),
    "kvproto.classic.schemes.nodes": (
        "kvproto.inputs.schemes.nodes:PORT check_remote host_of split",
    ),
    "kvproto.classic.schemes.raw": ("kvproto.inputs.schemes.files:find open",),
    "kvproto.classic.schemes.tag": ("kvproto.inputs.schemes.lists:find listed load locate",),
    "kvproto.classic.schemes.web": (
        "kvproto.inputs.schemes.web:ATTEMPTS find open",
        "kvproto.inputs.schemes.lists:MAX_DOCUMENT fetch",
    ),
    "kvproto.classic.stored": (
        "kvproto.storage.blobs:directory remove url_of",
        "kvproto.inputs.tagged:collect is_chunk remove_unused unused",
    ),
    "kvproto.classic.tags": (
        "kvproto.storage.tags:DamagedTag InvalidTag NoSuchTag TagStore parse_document safe_name "
        "tag_name",
    ),
}
"""The same for modules of kvproto that have moved; their names are still importable from there."""

RENAMED = {"Bytes": "Reader", "Run": "JobThread", "of_the_user": "call_user_code"}
"""Names in MOVED that have another name now."""


def exports(old: str) -> dict[str, ModuleType]:
    """The names of an old module, each with the module that has it now."""
    modules: dict[str, ModuleType] = {}
    for source in (MODULES if old in MODULES else MOVED)[old]:
        name, _, names = source.partition(":")
        module = importlib.import_module(name)
        modules.update(dict.fromkeys(names.split() or module.__all__, module))
    return modules


_NO_MASTER = (
    "there is no master: jobs run on this machine, and disco.core.Disco finds them by their "
    "directories"
)
_PIPELINE = (
    "write the stages as jobs with map and reduce, one after the other in a disco.job.JobChain"
)
_STORE = "give the job a reader that opens it, or copy it to files first"
_PROGRAMS = "kvproto.ExternalProgram runs a worker program"
_OWN = (
    "kvproto opens and publishes the files of a job itself; disco_output_stream writes the old "
    "format"
)
_OLD_READER = (
    "entries are lines unless map_reader says otherwise, chain_reader reads the results of jobs"
)
_OLD_WRITER = (
    "results are written by map_output_stream and reduce_output_stream; leave them out for "
    "kvproto's own files"
)
_FIXTURE = (
    "derive the test from TestCase and its jobs from TestJob, as tests of Disco 0.4 and later do"
)

GONE: dict[str, str] = {
    "discodb": _STORE,
    "disco.bencode": "use json of the standard library",
    "disco.cli": "the command is kvproto; kvproto --help",
    "disco.comm": (
        "use urllib.request; inputs by http:// are read, and tried again, by the job itself"
    ),
    "disco.comm_curl": "use urllib.request",
    "disco.comm_httplib": "use urllib.request",
    "disco.comm_pycurl": "use urllib.request",
    "disco.counter": "use count() in a task, and Job.counters()",
    "disco.dPickle": "use cloudpickle, as jobs do for their functions",
    "disco.dencode": "use json of the standard library",
    "disco.dfs": _STORE,
    "disco.eventmonitor": "Job.wait(show=True) shows events, Job.events() returns them",
    "disco.events": (
        "print() in a job function sends a message, raising an exception fails the task"
    ),
    "disco.future": "use itertools of the standard library",
    "disco.json": "use json of the standard library",
    "disco.node": "task processes are kvproto.engine.task_main, " + _PROGRAMS,
    "disco.schemes.scheme_dfs": _STORE,
    "disco.schemes.scheme_discodb": _STORE,
    "disco.schemes.scheme_hdfs": _STORE,
    "disco.schemes.scheme_lmdb": _STORE,
    "disco.schemes.scheme_metadb": _STORE,
    "disco.schemes.scheme_mongodb": _STORE,
    "disco.schemes.scheme_redis": _STORE,
    "disco.schemes.scheme_s3": _STORE,
    "disco.sysutil": (
        "set a limit with resource.setrlimit before the job; its task processes inherit it"
    ),
    "disco.worker.classic.task": (
        "job functions find put, get and this_partition without importing them, and in disco.task"
    ),
    "disco.worker.pipeline": _PIPELINE,
    "disco.worker.simple": _PIPELINE,
    # single names
    "disco.compat.sort_cmd": "a job with sort = True sorts",
    "disco.core.Continue": _NO_MASTER,
    "disco.core.JobDict": "Worker.jobdict() describes a job",
    "disco.core.client_version": "kvproto.__version__ is the version",
    "disco.error.JobException": "catch JobError",
    "disco.fileutils.AtomicFile": _OWN,
    "disco.fileutils.Chunker": "disco.ddfs.DDFS.chunk cuts large files",
    "disco.fileutils.DiscoOutput": _OWN,
    "disco.fileutils.DiscoOutputStream_v0": "DiscoOutputStream writes both formats",
    "disco.fileutils.DiscoOutputStream_v1": (
        "DiscoOutputStream writes both formats; derive from OutputStream of disco.worker.task_io"
    ),
    "disco.fileutils.DiscoZipFile": "required_files sends files to the tasks",
    "disco.fileutils.NonBlockingInput": _PROGRAMS,
    "disco.func.netstr_reader": _OLD_READER,
    "disco.func.netstr_writer": _OLD_WRITER,
    "disco.func.object_reader": _OLD_READER,
    "disco.func.object_writer": _OLD_WRITER,
    "disco.job.JobPack": "Worker.jobdict() describes a job; functions travel by cloudpickle",
    "disco.job.SimpleJob": _PIPELINE,
    "disco.task.jobdata": "functions and params travel by cloudpickle",
    "disco.test.DiscoJobTestFixture": _FIXTURE,
    "disco.test.DiscoMultiJobTestFixture": _FIXTURE,
    "disco.test.DiscoTestCase": _FIXTURE,
    "disco.test.InterruptTest": "Ctrl-C stops the test and its job",
    "disco.test.TestLoader": "use unittest.TestLoader, and the environment for settings",
    "disco.test.TestPipe": _PIPELINE,
    "disco.test.TestRunner": (
        "use python -m kvproto.classic.alias -m unittest, and the environment for settings"
    ),
    "disco.util.argcount": "use inspect.signature",
    "disco.util.ddfs_name": "disco.ddfs has what names of tags need",
    "disco.util.deref": "find_inputs of kvproto.classic.schemes lists what urls stand for",
    "disco.util.dsorted": "a job with sort = True sorts on disk",
    "disco.util.globalize": (
        "functions find put, get, this_partition and required_modules without an import"
    ),
    "disco.util.inputexpand": "find_inputs of kvproto.classic.schemes lists what urls stand for",
    "disco.util.inputlist": "find_inputs of kvproto.classic.schemes lists what urls stand for",
    "disco.util.localize": _NO_MASTER,
    "disco.util.pack": "use pickle",
    "disco.util.proxy_url": _NO_MASTER,
    "disco.util.rapply": "use map()",
    "disco.util.save_oob": "use put() in a task",
    "disco.util.unpack": "use pickle",
    "disco.util.urlresolve": _NO_MASTER,
    "disco.util.urltoken": _NO_MASTER,
    "disco.worker.classic.external.close": _PROGRAMS,
    "disco.worker.classic.external.communicate": _PROGRAMS,
    "disco.worker.classic.external.pack_kv": "use kvproto.encode_pair",
    "disco.worker.classic.external.prepare": _PROGRAMS,
    "disco.worker.classic.external.unpack_kv": "use kvproto.decode_pairs",
    "disco.worker.task_io.ClassicFile": _OWN,
    "disco.worker.Input": "disco.core.result_iterator reads results",
    "disco.worker.MergedInput": "a job with sort = True merges",
    "disco.worker.Output": _OWN,
}
"""Old module or name that does not exist any more -> what to use instead."""
