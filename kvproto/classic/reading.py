"""Reading the results of jobs, and whatever else can be an input, in the client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from kvproto.classic.task_io import chain_reader, task_input_stream
from kvproto.inputs.lines import check_text, text_file
from kvproto.inputs.replicas import failover, skip
from kvproto.inputs.schemes import find_inputs
from kvproto.inputs.streams import chain_input
from kvproto.storage.manifest import open_result
from kvproto.storage.trust import trusting

__all__ = ["result_iterator"]


def result_iterator(
    urls,
    reader: Callable | None = chain_reader,
    input_stream: Sequence[Callable] = (task_input_stream,),
    notifier: Callable[[str | list[str]], None] | None = None,
    params=None,
    ddfs=None,
    trust: bool = False,
) -> Iterator:
    """Yield the (key, value) pairs of results, one after the other.

    urls          what `Job.wait()` returned; a Job, which is waited for; an input as a job has it, or a list of such: paths,
                  addresses with any scheme, lists of replicas, of which the next is read where one fails
    reader        the last of the functions that make entries of an input (`kvproto.classic.task_io`); it gives what is yielded
                  here. chain_reader reads the results of all jobs, old ones too, and unpickles objects. None: the lines
    input_stream  the functions before it; the first opens the url
    notifier      is called with each url before it is opened, or with the list of its replicas
    params        are handed to those functions
    ddfs          means nothing
    trust         whether to unpickle objects also where they are in another user's file, or come from the network, although that
                  lets whoever wrote them run any program as you

    Keys and values are bytes where an external program wrote them, Python objects where a function did.
    Raises DataError that names the file when it is missing, was cut or damaged.
    """
    streams = [*input_stream, *([reader] if reader else [])]
    is_listed = streams[:1] == [task_input_stream]
    if is_listed:
        streams[0] = _result_stream
    for replicas in _replicas(urls, is_listed):
        if notifier is not None:
            notifier(replicas[0] if len(replicas) == 1 else replicas)
        yield from _entries(replicas, streams, params, trust)


def _replicas(urls, is_listed: bool) -> Iterator[list[str]]:
    """The inputs that urls stand for, each as the list of its replicas; as they are where the job's own stream opens them."""
    if hasattr(urls, "wait"):
        urls = urls.wait()
    if isinstance(urls, (str, os.PathLike)):
        urls = [urls]
    if is_listed:
        return ([found.url, *found.replicas] for found in find_inputs(urls))
    return ([url] if isinstance(url, (str, os.PathLike)) else list(url) for url in urls)


def _result_stream(stream, size: int | None, url: str, params) -> tuple:
    """As task_input_stream; a file among a job's results is checked against what the job wrote."""
    if "://" in url or os.path.basename(os.path.dirname(url)) not in ("results", "map-results"):
        return task_input_stream(stream, size, url, params)
    file = open_result(url)
    return text_file(file), os.path.getsize(url), url


def _entries(replicas: list[str], streams: list[Callable], params, trust: bool) -> Iterator:
    """The entries of one input; when a replica fails, the next one gives those that are missing."""
    n_given = 0

    def read(url: str) -> Iterator:
        nonlocal n_given
        with trusting(trust):
            stream, _, _ = chain_input(streams, None, None, url, params)
        with closing(stream):
            check_text(stream, f"input {url}")
            entries = iter(stream)
            skip(entries, n_given, url)
            for entry in entries:
                n_given += 1
                yield entry

    return failover(replicas, read)
