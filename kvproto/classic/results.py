"""`result_iterator` reads the results of jobs, and other inputs, outside of tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from kvproto.classic.task_io import chain_reader, task_input_stream
from kvproto.inputs.compressed import check_content
from kvproto.inputs.lines import check_text, text_file
from kvproto.inputs.replicas import failover, skip
from kvproto.inputs.schemes import find_inputs
from kvproto.inputs.streams import chain_input
from kvproto.storage.manifest import open_result
from kvproto.storage.trust import trusting

__all__ = ["result_iterator"]


def result_iterator(
    urls: Any,
    reader: Callable[..., Any] | None = chain_reader,
    input_stream: Sequence[Callable[..., Any]] = (task_input_stream,),
    notifier: Callable[[str | list[str]], object] | None = None,
    params: object = None,
    ddfs: object = None,
    trust: bool = False,
) -> Iterator[Any]:
    """Yield the (key, value) pairs of results, one after the other.

    Parameters
    ----------
    urls : Job, str, path or list
        What `Job.wait` returned; or a Job, which is waited for; or an input like those of a job, or
        a list of inputs. If one of a list of replicas fails, the next one is read.
    reader : callable, optional
        The last of the functions that turn an input into entries (`kvproto.classic.task_io`).
        `chain_reader` reads the results of all jobs, old ones too, and unpickles objects. With
        None, the entries are lines.
    input_stream : sequence of callables
        The functions before the reader. The first one opens the url.
    notifier : callable, optional
        Called with each url, or list of replicas, before it is opened.
    params : object, optional
        Passed to those functions.
    ddfs : object, optional
        Has no effect.
    trust : bool
        Whether to unpickle objects from files of other users and from the network. Whoever wrote
        them can then run any program as you.

    Yields
    ------
    (key, value)
        bytes from an external program, Python objects from a function.

    Raises
    ------
    DataError
        If a file is missing, cut or damaged; the error names it.
    """
    streams = [*input_stream, *([reader] if reader else [])]
    is_listed = streams[:1] == [task_input_stream]
    if is_listed:
        streams[0] = _result_stream
    for replicas in _replicas(urls, is_listed):
        if notifier is not None:
            notifier(replicas[0] if len(replicas) == 1 else replicas)
        yield from _entries(replicas, streams, params, trust)


def _replicas(urls: Any, is_listed: bool) -> Iterator[list[str]]:
    """Yield the replicas of each input; the urls stay as they are for the caller's own stream."""
    if hasattr(urls, "wait"):
        urls = urls.wait()
    if isinstance(urls, (str, os.PathLike)):
        urls = [urls]
    if is_listed:
        return ([one.url, *one.replicas] for one in find_inputs(urls))
    return ([os.fspath(url)] if isinstance(url, (str, os.PathLike)) else list(url) for url in urls)


def _result_stream(
    stream: Any, size: int | None, url: str, params: object
) -> tuple[Any, int | None, str]:
    """Open an input; check the file of a result against what the job wrote."""
    if "://" in url or os.path.basename(os.path.dirname(url)) not in ("results", "map-results"):
        return task_input_stream(stream, size, url, params)
    file = open_result(url)
    return text_file(file), os.path.getsize(url), url


def _entries(
    replicas: list[str], streams: list[Callable[..., Any]], params: object, trust: bool
) -> Iterator[Any]:
    """The entries of one input; if a replica fails, the next one gives the rest."""
    n_yielded = 0

    def read(url: str) -> Iterator[Any]:
        nonlocal n_yielded
        if streams[:1] == [_result_stream] and url != replicas[-1]:
            check_content(url)
        with trusting(trust):
            stream, _, _ = chain_input(streams, None, None, url, params)
        with closing(stream):
            check_text(stream, f"input {url}")
            entries = iter(stream)
            skip(entries, n_yielded, url)
            for entry in entries:
                n_yielded += 1
                yield entry

    return failover(replicas, read)
