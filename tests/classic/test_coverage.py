"""What the documentation of the classic interface promises, sentence by sentence, and the tests that show it.

ROWS follows the documentation from its first line to its last: a section, the promises in it in our words, below each
the tests that show it (`file::function`, with a part of the id in brackets where it is one case of several). A promise
about a parameter begins with the parameter's name. The rows for external programs are in `coverage_of_external`. The
tests of this module hold that the table is whole and true: names, parameters, defaults, and that each test is there.
"""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from kvproto.classic.func import default_partition
from kvproto.classic.task_io import chain_reader
from kvproto.classic.worker import PARAMETERS

from . import coverage_of_external

HERE = Path(__file__).parents[1]

ROWS = """
1 The runtime environment
    a job's functions run in processes of their own, where the worker is made anew
        classic/test_job.py::test_a_job_in_main_has_its_functions_globals_and_classes
    every parameter is resolved by getitem
        classic/test_job.py::test_a_parameter_comes_from_the_arguments_then_the_job_then_the_worker_then_the_default
    a subclass of Job is a way to fix parameters
        classic/test_job.py::test_a_job_is_a_class
    the grep example runs as printed
        classic/test_job.py::test_a_job_with_its_reader_greps_as_the_reference_prints_it
        classic/test_documented.py::test_the_documented_grep_runs_from_the_shell_as_documented
    it is run from the shell by module and class, with a parameter, found on sys.path; inputs are tags, urls or paths
        classic/test_documented.py::test_the_documented_grep_runs_from_the_shell_as_documented
        cli/test_run_finds_jobs.py::test_run_finds_the_job_in_the_current_directory_and_prints_its_results

2 The parameters of Worker
    map: is the map of the job
        classic/test_job.py::test_counted_words_are_those_of_a_counter
    map_init: is called once before the task starts
        classic/test_chains.py::test_map_init_is_called_once_for_each_input_and_may_take_entries
        classic/test_chains.py::test_map_init_is_called_before_an_external_map_too
    map_input_stream: the functions are chained, the last stream gives the entries
        classic/test_chains.py::test_input_streams_are_chained_and_the_reader_is_the_last_of_them
        classic/test_streams.py::test_each_input_function_gets_what_the_one_before_it_gave
    map_output_stream: the functions are chained, add() of the last stream gets the map's pairs
        classic/test_chains.py::test_the_results_of_a_map_are_what_its_output_streams_write
        classic/test_streams.py::test_what_is_added_to_an_output_goes_down_the_chain_and_closing_it_closes_all_but_the_sink
    map_reader: is the last function of map_input_stream
        classic/test_chains.py::test_input_streams_are_chained_and_the_reader_is_the_last_of_them
    map_reader: chain_reader reads the results of an earlier job
        classic/test_documented_jobs.py::test_chain_reader_as_map_reader_reads_the_results_of_an_earlier_job
    map_reader: without one, entries are lines
        classic/test_job.py::test_lines_come_with_their_newline_and_any_bytes_come_out_as_they_went_in
    combiner: is called behind the partition function, for each partition
        classic/test_job.py::test_a_combiner_has_a_buffer_for_each_partition_and_a_last_call
        classic/test_documented_jobs.py::test_what_a_combiner_gives_stays_in_the_partition_that_its_pairs_went_to
    reduce: is the reduce of the job
        classic/test_job.py::test_counted_words_are_those_of_a_counter
    reduce: without one, the job ends after the map
        classic/test_job.py::test_without_reduce_each_map_gives_a_file_for_each_partition
    reduce: may have two parameters and give an iterator, or three and add to its output
        classic/test_documented.py::test_the_documented_map_and_its_reduce_with_three_arguments_count_the_keys
        classic/test_documented.py::test_the_documented_reduce_with_two_arguments_counts_the_values
    reduce: may stand without a map
        classic/test_reduce_alone.py::test_one_partition_reads_the_results_of_an_earlier_job_all_together
        classic/test_reduce_alone.py::test_several_partitions_get_the_pairs_by_their_keys
    reduce_init: is called once before the task starts
        classic/test_chains.py::test_reduce_init_is_called_once_and_may_take_pairs
        classic/test_chains.py::test_reduce_init_is_called_before_an_external_reduce_too
    reduce_input_stream: the functions are chained, the last stream is the reduce's first argument
        classic/test_documented_jobs.py::test_reduce_input_streams_are_chained_into_the_first_argument_of_the_reduce
    reduce_output_stream: the functions are chained, the last stream is the reduce's second argument
        classic/test_chains.py::test_the_results_of_a_reduce_are_what_its_output_streams_write
        classic/test_documented_jobs.py::test_the_last_output_stream_is_the_second_argument_of_the_reduce
    reduce_reader: with a map, is the last function of reduce_input_stream
        classic/test_chains.py::test_a_reduce_reads_what_the_maps_output_streams_wrote_with_its_reader
        classic/test_chains.py::test_a_reduce_reader_of_the_users_own_reads_the_maps_pairs_through_chain_reader
    reduce_reader: without a map, reads any input as map_reader does
        classic/test_reduce_alone.py::test_entries_are_those_of_the_reduce_reader
    reduce_reader: is chain_reader by default
        classic/test_reduce_alone.py::test_one_partition_reads_the_results_of_an_earlier_job_all_together
        classic/test_coverage.py::test_each_documented_default_is_the_default
    partition: decides which reduce gets a pair of the map
        classic/test_documented_jobs.py::test_a_partition_function_sends_each_pair_to_a_reduce
    partition: is default_partition by default
        classic/test_coverage.py::test_each_documented_default_is_the_default
    partitions: is their number, or None
        classic/test_job.py::test_counted_words_are_those_of_a_counter
        classic/test_reduce_alone.py::test_inputs_with_labels_keep_their_partitions
    sort: the reduce gets equal keys one behind the other, keys in ascending order
        classic/test_documented_sort.py::test_a_sorted_reduce_gets_equal_keys_together_in_ascending_order
        engine/test_sorting.py::test_frames_of_any_bytes_come_out_in_the_order_of_their_keys
        engine/test_sorting.py::test_keys_of_bytes_or_of_text_come_out_in_order_with_values_of_any_type
    sort: is done on disk by the program sort
        classic/test_documented_sort.py::test_a_sort_is_done_by_the_program_sort_with_the_buffer_size_given
    sort_buffer_size: is the memory for that, as for the -S of sort
        classic/test_documented_sort.py::test_a_sort_is_done_by_the_program_sort_with_the_buffer_size_given
    params: are there for each function of a task, to keep state in
        classic/test_job.py::test_params_reach_every_function
        classic/test_chains.py::test_what_a_task_keeps_in_params_is_not_there_for_the_next_task
    params: travel pickled; what cannot be pickled is said
        classic/test_running.py::test_what_cannot_travel_to_a_task_says_so
    params: Params holds a set of them, functions too
        classic/test_params.py::test_functions_of_any_kind_survive_the_way_into_another_process
        classic/test_task.py::test_params_are_an_object_to_keep_things_in_unless_others_are_given
    ext_params: are delivered to external programs
        classic/test_external.py::test_ext_params_go_to_map_and_reduce
    status_interval: "items mapped" or "reduced" is told for every Nth
        classic/test_chains.py::test_each_status_interval_is_told_of_the_map_and_of_the_reduce
        classic/test_chains.py::test_the_status_of_external_programs_is_told_too
    status_interval: 0 turns that off
        classic/test_chains.py::test_a_status_interval_of_0_tells_nothing

3 jobdict
    jobdict() gives the job dict, its parameters found by getitem
        classic/test_documented_jobs.py::test_the_job_dict_has_the_parameters_of_job_and_arguments
    input: a list of urls, or of lists of urls
        classic/test_documented_jobs.py::test_the_job_dict_has_the_parameters_of_job_and_arguments
        inputs/test_replicas.py::test_the_first_replica_that_is_there_is_read
        inputs/test_replicas.py::test_a_replica_that_fails_halfway_is_followed_by_the_next_without_an_entry_twice
    input: http:// is any address
        inputs/test_schemes_web.py::test_a_body_is_read_with_its_length_in_chunks_and_to_the_end_of_the_connection
    input: file:// or no scheme is a local file, which must be there
        inputs/test_schemes.py::test_a_file_is_found_by_path_and_by_url_with_its_size
        inputs/test_schemes.py::test_what_is_not_there_is_named
    input: tag:// is a stored tag
        inputs/test_schemes_tag.py::test_a_tag_is_the_inputs_that_it_lists_with_their_replicas
    input: raw:// is the address as data
        inputs/test_schemes.py::test_raw_is_the_address_itself
    input: dir:// is an index of results
        inputs/test_schemes_tag.py::test_an_index_gives_each_input_its_label_and_size
        classic/test_reduce_alone.py::test_inputs_with_labels_keep_their_partitions
    input: disco:// is a file of a node
        inputs/test_schemes_tag.py::test_an_address_of_a_node_is_a_file_here_and_the_web_elsewhere
    scheduler: goes into the job dict as it is
        classic/test_documented_jobs.py::test_the_job_dict_has_the_parameters_of_job_and_arguments

4 In a task
    get and put: out-of-band values
        classic/test_task.py::test_what_a_map_puts_is_seen_by_the_reduce_and_by_the_client
        classic/test_task.py::test_a_task_gets_the_values_of_another_job
    the worker module has both, and those that follow
        classic/test_documented_jobs.py::test_the_worker_module_has_what_a_task_has
    the host that runs the task, its inputs, the master's host and port, the job's name
        classic/test_task.py::test_a_map_knows_its_job_and_its_task
    in a map, a number for each task, so that ids can be made unique
        classic/test_task.py::test_this_partition_is_the_number_of_the_map_task_or_the_partition_of_the_reduce
    in a reduce, the number of the partition, which the partition function decides for a pair
        classic/test_task.py::test_this_partition_is_the_number_of_the_map_task_or_the_partition_of_the_reduce

5 Functions
    the module has the interfaces, defaults, and functions ready made
        classic/test_coverage.py::test_each_documented_name_is_there
        classic/test_func_interfaces.py::test_an_interface_is_documented_has_its_arguments_and_is_not_to_be_called
    combiner: gets each pair of the map, a buffer of its partition and params
        classic/test_documented_jobs.py::test_a_combiner_gets_every_pair_and_alone_decides_what_is_kept
        classic/test_job.py::test_a_combiner_has_a_buffer_for_each_partition_and_a_last_call
    combiner: gives pairs or None; what it gives is all that is kept
        classic/test_documented_jobs.py::test_a_combiner_gets_every_pair_and_alone_decides_what_is_kept
    combiner: may clear its buffer to bound it
        classic/test_documented_jobs.py::test_a_combiner_may_empty_its_buffer_whenever_it_is_full
    combiner: is called a last time with done set, when all entries are mapped
        classic/test_job.py::test_a_combiner_has_a_buffer_for_each_partition_and_a_last_call
    init: gets the iterator of the reader; may load libraries, set params, skip entries
        classic/test_task.py::test_the_ctypes_recipe_of_the_documentation_runs_as_printed
        classic/test_chains.py::test_map_init_is_called_once_for_each_input_and_may_take_entries
    make_range_partition: parts of equal size of a range of keys, as many as there are partitions
        classic/test_func_interfaces.py::test_partitions_of_a_range_are_of_equal_size_with_both_ends_in_it
    map: gives an iterable of pairs for an entry
        classic/test_job.py::test_a_job_is_keyword_arguments_with_functions_of_any_kind
    map: params keep state from call to call
        classic/test_chains.py::test_what_a_task_keeps_in_params_is_not_there_for_the_next_task
    map: the example gives the words of a line
        classic/test_documented.py::test_the_documented_map_and_its_reduce_with_three_arguments_count_the_keys
    map: may be an external program
        classic/test_external.py::test_an_external_map_without_reduce_gives_bytes
    nop_map: gives what the input stream gives
        classic/test_func.py::test_nop_functions_pass_everything_on
        classic/test_chains.py::test_input_streams_are_chained_and_the_reader_is_the_last_of_them
    nop_reduce: one result file for each partition, of however many maps
        classic/test_documented_jobs.py::test_nop_reduce_makes_one_file_for_each_partition_of_many_maps
    a list of urls in the place of a url is its replicas
        inputs/test_replicas.py::test_the_first_replica_that_is_there_is_read
        inputs/test_schemes.py::test_a_list_is_the_replicas_of_one_input_and_those_that_are_not_there_are_left_out
    partition: gets key, number and params, gives an integer below the number
        classic/test_job.py::test_params_reach_every_function
        classic/test_running.py::test_a_function_that_gives_the_wrong_thing_is_named
        classic/test_func.py::test_a_partition_is_in_range
    reduce: iterates over its input stream, adds to its output stream, gets params
        classic/test_documented.py::test_the_documented_map_and_its_reduce_with_three_arguments_count_the_keys
        classic/test_job.py::test_params_reach_every_function
    reduce: the example counts how often each key is there
        classic/test_documented.py::test_the_documented_map_and_its_reduce_with_three_arguments_count_the_keys
    reduce: may be an external program
        classic/test_external.py::test_an_external_reduce_gets_the_str_and_bytes_of_a_python_map
    reduce2: has two parameters, gives an iterator of pairs, which are added to the output stream
        classic/test_documented.py::test_the_documented_reduce_with_two_arguments_counts_the_values
        classic/test_documented_jobs.py::test_what_a_reduce_with_two_arguments_gives_is_added_to_the_output_stream
    reduce2: the example, with kvgroup, counts the values of each key
        classic/test_documented.py::test_the_documented_reduce_with_two_arguments_counts_the_values
        classic/test_documented.py::test_the_documented_examples_run_with_their_imports_too
    sum_combiner: sums the values of each key in the combiner
        classic/test_func.py::test_sum_combiner_gives_its_sums_when_done_and_before_its_buffer_grows_too_large
        protocol/test_sums.py::test_any_values_that_can_be_added_are_summed_through_combiner_and_reduce
    sum_reduce: sums the values of each key in the reduce
        classic/test_func.py::test_sum_reduce_sums_by_key
        protocol/test_sums.py::test_any_values_that_can_be_added_are_summed_through_combiner_and_reduce
"""

BESIDES = """
15 Parameters that the documentation of the worker leaves to that of the job
    name: is what the job is called after
        classic/test_control.py::test_new_job_runs_a_job_of_that_name
    required_files: lie where the tasks run
        classic/test_task.py::test_required_files_are_in_the_working_directory
    required_modules: are found without an import
        classic/test_task.py::test_required_modules_are_found_without_an_import
    profile: leaves a profile of each task
        classic/test_task.py::test_a_profiled_job_leaves_a_profile_of_each_task
    save: keeps the results as a tag
        classic/test_ddfs.py::test_results_are_saved_in_the_order_given_and_stay_when_their_files_go
"""

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
    "disco.worker.classic.func": "combiner default_partition init make_range_partition map nop_map nop_reduce "
    "partition reduce reduce2 sum_combiner sum_reduce",
    "disco.worker.classic.netstring": "",
    "disco.worker.classic.worker": "Params Worker Worker.getitem Worker.jobdict get put this_host this_inputs "
    "this_master this_name this_partition",
    "disco.worker.task_io": "InputStream OutputStream.add chain_reader input_stream output_stream",
}
"""The documented names."""

LOOK_UP = """
import importlib, sys
module = importlib.import_module(sys.argv[1])
for dotted in sys.argv[2:]:
    found = module
    for name in dotted.split("."):
        found = getattr(found, name)
    assert found.__doc__, dotted
"""

OF_C = "read_parameters die read_kv p_entry write_num_prefix write_kv dxmalloc copy_entry msg"


def rows() -> list[tuple[str, str, list[str]]]:
    """The table: (number, promise, tests); the second promise of section 5 is 5.2."""
    found: list[tuple[str, str, list[str]]] = []
    section, n = "", 0
    for line in f"{ROWS}{coverage_of_external.ROWS}{BESIDES}".splitlines():
        if re.match(r"\d+ ", line):
            section, n = line.split()[0], 0
        elif line.startswith("        "):
            found[-1][2].append(line.strip())
        elif line:
            n += 1
            found.append((f"{section}.{n}", line.strip(), []))
    return found


@cache
def in_module(name: str) -> dict[str, ast.FunctionDef]:
    """The tests of a module, by their names."""
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {function.name: function for function in functions if function.name.startswith("test_")}


@cache
def literals() -> set[str]:
    """All strings that the tests' sources have, parts of the ids of parameters among them."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in HERE.rglob("*.py")]
    constants = [
        node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    ]
    return {value for value in constants if isinstance(value, str)}


def is_skipped(test: ast.FunctionDef) -> bool:
    """Whether it never runs."""
    marks = [ast.unparse(decorator).partition("(")[0] for decorator in test.decorator_list]
    return bool({"pytest.mark.skip", "pytest.mark.xfail"} & set(marks))


@pytest.mark.parametrize(
    "tests", [pytest.param(tests, id=f"{number} {promise}") for number, promise, tests in rows()]
)
def test_each_promise_is_shown_by_tests_that_are_there_and_run(tests):
    assert tests
    for test in tests:
        name, function, case = re.fullmatch(r"([\w/]+\.py)::(test_\w+)(?:\[(.+)\])?", test).groups()
        assert function in in_module(name), test
        assert not is_skipped(in_module(name)[function]), test
        assert case is None or case in literals(), test


OURS = {"attempts", "ext_limits", "keep_map", "merge_partitions", "text", "trust"}
"""Parameters that the documentation does not have."""


def test_each_parameter_has_its_promises():
    of_parameters = [
        promise for number, promise, _tests in rows() if number.split(".")[0] in ("2", "3", "15")
    ]
    assert {promise.partition(":")[0] for promise in of_parameters if ":" in promise} == set(
        PARAMETERS
    ) - OURS


@pytest.mark.parametrize("name", DEFAULTS)
def test_each_documented_default_is_the_default(name):
    assert PARAMETERS[name] == DEFAULTS[name] and type(PARAMETERS[name]) is type(DEFAULTS[name])


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
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", OF_C.split())
def test_each_documented_c_name_is_in_the_header(name):
    header = (HERE.parent / "include" / "disco.h").read_text()
    assert re.search(
        rf"^(DISCO_API|static inline|typedef struct) .*\b{name}\b", header, re.MULTILINE
    )
