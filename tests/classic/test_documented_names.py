"""The documented names and defaults of the classic interface are there, in Python and in C."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvproto.classic.func import default_partition
from kvproto.classic.task_io import chain_reader
from kvproto.classic.worker import PARAMETERS

ROOT = Path(__file__).parents[2]

DEFAULTS = {
    "map_reader": None,
    "reduce": None,
    "reduce_reader": chain_reader,
    "partition": default_partition,
    "partitions": 1,
    "sort": False,
    "sort_buffer_size": "10%",
    "status_interval": 100_000,
}
"""The defaults that are documented."""

NAMES = {
    "disco.core": "Job Disco.new_job",
    "disco.job": "Job",
    "disco.task": "get put",
    "disco.util": "external kvgroup",
    "disco.worker.classic.external": "",
    "disco.worker.classic.func": "combiner default_partition init "
    "make_range_partition map nop_map nop_reduce "
    "partition reduce reduce2 sum_combiner sum_reduce",
    "disco.worker.classic.netstring": "",
    "disco.worker.classic.worker": "Params Worker Worker.getitem Worker.jobdict get "
    "put this_host this_inputs "
    "this_master this_name this_partition",
    "disco.worker.task_io": "InputStream OutputStream.add chain_reader input_stream output_stream",
}
"""The documented names."""

LOOK_UP = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
for dotted in sys.argv[2:]:
    value = module
    for name in dotted.split("."):
        value = getattr(value, name)
    assert value.__doc__, dotted
"""

OF_C = "read_parameters die read_kv p_entry write_num_prefix write_kv dxmalloc copy_entry msg"


@pytest.mark.documented(
    "2 reduce_reader: is chain_reader by default",
    "2 partition: is default_partition by default",
)
@pytest.mark.parametrize("name", DEFAULTS)
def test_each_documented_default_is_the_default(name):
    assert PARAMETERS[name] == DEFAULTS[name] and type(PARAMETERS[name]) is type(DEFAULTS[name])


@pytest.mark.slow
@pytest.mark.documented("5 the module has the interfaces, the defaults and ready-made functions")
@pytest.mark.parametrize("module", NAMES)
def test_each_documented_name_is_there(tmp_path, module):
    script = tmp_path / "look_up.py"
    script.write_text(LOOK_UP)
    command = [
        sys.executable,
        "-m",
        "kvproto.classic.alias",
        script,
        module,
        *NAMES[module].split(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", OF_C.split())
def test_each_documented_c_name_is_in_the_header(name):
    header = (ROOT / "include" / "disco.h").read_text()
    assert re.search(
        rf"^(DISCO_API|static inline|typedef struct) .*\b{name}\b", header, re.MULTILINE
    )
