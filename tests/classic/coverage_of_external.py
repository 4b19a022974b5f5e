"""The rows of `test_classic_coverage` for external programs and the C library: see there for their form."""

ROWS = """
6 When to use external programs
    a worker may be in any language and need no Python: the protocol is text of its own
        protocol/test_clauses.py::test_each_must_is_held_by_a_vector_or_a_test
        driver/test_failures.py::test_the_verdict_on_each_worker[echo.pl]
    map, reduce or both are programs, with Python between them
        classic/test_external.py::test_map_and_reduce_of_one_program_count_as_a_counter_does
        classic/test_external.py::test_a_python_combiner_stands_between_external_programs
        classic/test_external.py::test_a_python_partition_stands_between_external_programs
    the ctypes recipe runs as printed: a library in required_files, loaded by map_init into params
        classic/test_task.py::test_the_ctypes_recipe_of_the_documentation_runs_as_printed
    required_files lie where the tasks run
        classic/test_task.py::test_required_files_are_in_the_working_directory
    required_modules are found without an import
        classic/test_task.py::test_required_modules_are_found_without_an_import
    new_job of Disco starts a job
        classic/test_control.py::test_new_job_runs_a_job_of_that_name

7 The external interface
    pairs on stdin, pairs on stdout
        driver/test_external.py::test_a_map_answers_each_pair_in_order
    parameters may come first on stdin
        driver/test_external.py::test_parameters_come_first_then_pairs_then_end_of_file
    messages go to stderr
        driver/test_external.py::test_messages_come_by_callback_tagged_or_not
    a pair is key size, key, value size, value; sizes are 32 bits, little-endian, in bytes
        protocol/test_frames.py::test_a_pair_is_its_two_items
        protocol/test_vectors.py::test_a_stream_has_its_verdict
        libdisco/test_libdisco.py::test_big_endian_host_with_32_bit_addresses_speaks_the_same_bytes
    the C functions as printed read pairs, whatever their bytes, in a loop to the end
        classic/test_documented.py::test_the_documented_c_functions_are_a_map_and_a_reduce_with_messages
    a program reads as long as there is data: one that exits before is an error
        driver/test_failures.py::test_the_verdict_on_each_worker[exits_at_one_percent.py]
        classic/test_external.py::test_a_program_that_stops_early_with_status_0_is_a_failure
    output stuck in a buffer: libdisco flushes by itself, a worker that flushes late is served all the same
        libdisco/test_pipes.py::test_driver_that_waits_for_each_answer_gets_it
        driver/test_failures.py::test_the_verdict_on_each_worker[answers_late.py]
    the one argument is "map" or "reduce", so that one program can be both
        driver/test_external.py::test_a_worker_gets_its_mode_its_directory_and_its_own_process_group
        classic/test_external.py::test_map_and_reduce_of_one_program_count_as_a_counter_does

8 External map
    each pair is answered with a result list before the next is read; it may be empty
        driver/test_external.py::test_a_map_answers_each_pair_in_order
        driver/test_external.py::test_an_answer_comes_before_the_next_entry_is_there
        libdisco/test_libdisco.py::test_worker_does_what_it_should[empty_lists]
    a list is num-pairs, 32 bits, zero allowed, and exactly so many pairs
        protocol/test_vectors.py::test_a_stream_has_its_verdict
        driver/test_failures.py::test_the_verdict_on_each_worker[list_short_ends.py]
        driver/test_failures.py::test_the_verdict_on_each_worker[list_long.py]
    inputs are read with the map_reader
        classic/test_external.py::test_a_reader_gives_entries_or_pairs_to_an_external_map
    an entry that is one string is the value of an empty key
        driver/test_external.py::test_entries_are_values_of_an_empty_key_and_pairs_are_pairs
    a reader may give pairs, with key and value
        classic/test_external.py::test_a_reader_gives_entries_or_pairs_to_an_external_map
    the map is done with the list for the last pair
        driver/test_failures.py::test_the_verdict_on_each_worker[misses_last_list.py]
        driver/test_failures.py::test_the_verdict_on_each_worker[extra_list.py]

9 External reduce
    lists come whenever the program likes, also after the end of the input
        driver/test_pipes_and_files.py::test_a_reduce_worker_may_write_more_than_a_pipe_holds_before_it_reads
        driver/test_external.py::test_the_tail_of_a_reduce_that_writes_after_end_of_file_is_all_there
    or never
        driver/test_external.py::test_a_reduce_may_write_nothing_at_all
    the reduce is done when the program exits
        driver/test_external.py::test_the_tail_of_a_reduce_that_writes_after_end_of_file_is_all_there
        driver/test_failures.py::test_the_verdict_on_each_worker[hangs_at_the_end.py]

10 Messages
    MSG and ERR lines have the printed form
        protocol/test_messages.py::test_how_messages_are_written
        classic/test_documented.py::test_the_documented_c_functions_are_a_map_and_a_reduce_with_messages
        classic/test_documented.py::test_the_documented_die_fails_the_job_with_its_message
    seven bytes of tag, a newline at the end, for every line
        protocol/test_messages.py::test_a_message_of_several_lines_is_several_tagged_lines
        protocol/test_vectors.py::test_messages_are_as_the_vector_says
    messages of a job's programs are told
        classic/test_external.py::test_messages_of_a_program_become_events
    an ERR line fails the job
        classic/test_external.py::test_an_err_line_fails_the_job_at_once

11 Parameters of external programs
    ext_params go to the programs of map and reduce
        classic/test_external.py::test_ext_params_go_to_map_and_reduce
    a string goes out as it is, before any pair; the program reads all of it
        protocol/test_params.py::test_text_and_bytes_go_out_as_they_are
        libdisco/test_libdisco.py::test_worker_does_what_it_should[raw_parameters_by_fread]
    a dictionary of strings goes out as netstrings, pair behind pair
        protocol/test_params.py::test_a_dict_goes_out_as_a_set_that_counts_bytes
        protocol/test_vectors.py::test_a_parameter_set_has_its_verdict
    the C library parses that
        libdisco/test_libdisco.py::test_worker_does_what_it_should[parameters_then_pairs]

12 What an external task consists of
    one executable and any number of supporting files
        classic/test_external.py::test_a_supporting_file_lies_beside_the_program
    all in one flat directory, which is the program's working directory
        driver/test_external.py::test_a_worker_gets_its_mode_its_directory_and_its_own_process_group
    a shell script may prepare the environment and start the executable beside it
        driver/test_pipes_and_files.py::test_a_script_may_start_a_program_that_lies_beside_it
    a program reads its own files alone and writes none: the library does neither
        driver/test_pipes_and_files.py::test_a_worker_with_libdisco_opens_no_file_and_writes_none
    a dictionary stands for the function, its key "op" for the executable
        classic/test_documented.py::test_an_external_task_is_a_dictionary_of_op_and_its_files
        classic/test_running.py::test_a_wrong_parameter_is_refused_at_once
    other keys are names, not paths, of files; the values their contents
        classic/test_documented.py::test_an_external_task_is_a_dictionary_of_op_and_its_files
        driver/test_external.py::test_files_that_would_not_be_flat_are_refused
    external() makes the dictionary of paths
        classic/test_documented.py::test_external_makes_that_dictionary_of_paths_whatever_directories_they_are_in
    the first path is the executable, the order of the others does not count
        driver/test_external.py::test_external_packages_files_by_their_base_names

13 The C library
    a header and a small library around the interface
        project/test_package.py::test_a_wheel_gives_the_command_the_library_and_a_way_to_link_it
        cli/test_command.py::test_config_prints_flags_that_build_a_worker
    memory for pairs is used again, not allocated for each
        libdisco/test_libdisco.py::test_worker_does_what_it_should[entries_are_used_again_and_end_in_a_zero_byte]
    parameters come as a Judy array
        libdisco/test_libdisco.py::test_echo_program_of_the_documentation
    the echo program of the documentation runs (with the list prefix that it lacks)
        libdisco/test_libdisco.py::test_echo_program_of_the_documentation
    read_parameters(): before the first read_kv(); gives a JudySL array
        libdisco/test_libdisco.py::test_echo_program_of_the_documentation
    die(): ends the job with its message
        libdisco/test_libdisco.py::test_message_is_tagged_line_by_line_as_the_python_codec_does
        libdisco/test_libdisco.py::test_die_writes_no_zero_status_and_no_loop_whatever_the_exit_handlers_do
        classic/test_external.py::test_an_err_line_fails_the_job_at_once
    msg(): a message, with a format as printf has it
        libdisco/test_libdisco.py::test_echo_program_of_the_documentation
        libdisco/test_libdisco.py::test_message_is_tagged_line_by_line_as_the_python_codec_does
    read_kv(): reads a pair, 0 at the end
        libdisco/test_libdisco.py::test_worker_does_what_it_should[end_of_file_is_said_again]
    read_kv(): key and value are used again by the next call, whatever was there
        libdisco/test_libdisco.py::test_worker_does_what_it_should[entries_are_used_again_and_end_in_a_zero_byte]
        libdisco/test_libdisco.py::test_valgrind_finds_nothing
    read_kv(): a copy keeps an entry; who made it frees it
        libdisco/test_libdisco.py::test_worker_does_what_it_should[copies]
        libdisco/test_libdisco.py::test_valgrind_finds_nothing
    p_entry: len is the length, sze the room, len <= sze
        libdisco/test_libdisco.py::test_worker_does_what_it_should[copies]
    p_entry: data has len bytes and a zero byte behind them
        libdisco/test_libdisco.py::test_worker_does_what_it_should[entries_are_used_again_and_end_in_a_zero_byte]
        libdisco/test_libdisco.py::test_worker_does_what_it_should[zero_bytes_inside]
    write_num_prefix(): begins a list of so many pairs, which must follow
        libdisco/test_libdisco.py::test_worker_does_what_it_should[lists_of_any_length_by_halves]
        libdisco/test_libdisco.py::test_worker_dies_and_says_why[exit_with_pairs_due]
    write_kv(): writes a pair, in a list alone
        libdisco/test_libdisco.py::test_worker_does_what_it_should[pairs_of_every_size]
        libdisco/test_libdisco.py::test_worker_dies_and_says_why[a_pair_without_a_list]
    dxmalloc(): so many bytes, or die()
        libdisco/test_libdisco.py::test_worker_does_what_it_should[allocations_of_no_and_some_bytes]
        libdisco/test_faults.py::test_memory_that_runs_out_at_any_allocation_is_an_error
    copy_entry(): copies, grows the destination, makes one for NULL
        libdisco/test_libdisco.py::test_worker_does_what_it_should[copies]

14 external()
    packages a program and its files, for a map or a reduce
        driver/test_external.py::test_external_packages_files_by_their_base_names
    the files are a list of paths, the first the executable
        driver/test_external.py::test_external_packages_files_by_their_base_names
        driver/test_external.py::test_a_program_that_is_not_there_or_not_executable_says_so
    a map that needs a configuration file gets it so
        classic/test_documented.py::test_external_makes_that_dictionary_of_paths_whatever_directories_they_are_in
    all are copied into one directory: two of one name are refused
        driver/test_external.py::test_files_that_would_not_be_flat_are_refused
"""
