"""Hypothesis strategies for items, pairs, parameter sets and whole schedules (`kvproto[check]`).

Examples shrink towards a few short pairs that are sent in one piece. A schedule is complete before
it is played, so that it can be kept, replayed and shrunk.
"""

from __future__ import annotations

from hypothesis import strategies as st

from kvproto.conformance.answers import Pair, Stdin, pairs_of, parameter_set
from kvproto.conformance.schedule import (
    Answers,
    CloseOutput,
    Pause,
    Resume,
    Schedule,
    Send,
    Setting,
    Step,
    Taken,
    until_exit,
)

__all__ = ["contract_params", "items", "pairs", "params", "schedules"]

AWKWARD = (
    b"\0",
    b"\n",
    b"\r\n",
    b"\xff\xff\xff\xff",
    b"\1\0\0\0",
    b"0\n",
    b"**<ERR> x\n",
    b" ",
    "é".encode(),
)
LONG = (127, 128, 255, 256, 4096, 65535, 65536)


def items() -> st.SearchStrategy[bytes]:
    """Keys and values.

    Returns
    -------
    SearchStrategy[bytes]
        Short items of any bytes, items that look like sizes, text or messages, and long ones, up to
        64 KiB.
    """
    long = st.builds(
        lambda byte, n: byte * n, st.binary(min_size=1, max_size=1), st.sampled_from(LONG)
    )
    return st.one_of(st.binary(max_size=12), st.sampled_from(AWKWARD), long)


def pairs(max_size: int = 8) -> st.SearchStrategy[list[Pair]]:
    """Lists of pairs.

    Parameters
    ----------
    max_size : int
        The largest number of pairs.

    Returns
    -------
    SearchStrategy[list of (bytes, bytes)]
    """
    return st.lists(st.tuples(items(), items()), max_size=max_size)


def params() -> st.SearchStrategy[dict[bytes, bytes]]:
    """Parameter sets.

    Returns
    -------
    SearchStrategy[dict of bytes to bytes]
        Names and values, at most four.
    """
    return st.dictionaries(items(), items(), max_size=4)


def contract_params() -> st.SearchStrategy[dict[bytes, bytes]]:
    """Parameter sets for workers that follow CONTRACT.md.

    Returns
    -------
    SearchStrategy[dict of bytes to bytes]
        A `do` with the parameters that it needs, and others without meaning.
    """
    number = st.integers(0, 5).map(lambda n: b"%d" % n)
    commands = st.one_of(
        st.just({b"do": b"echo"}),
        st.just({b"do": b"params"}),
        st.just({b"do": b"sink"}),
        st.just({b"do": b"hold"}),
        number.map(lambda n: {b"do": b"fan", b"n": n}),
        items().map(lambda text: {b"do": b"say", b"text": text.replace(b"\0", b"")}),
        st.builds(
            lambda at, text: {b"do": b"err", b"at": at, b"text": text.replace(b"\0", b"")},
            number,
            items(),
        ),
    )
    return st.builds(lambda others, do: {**others, **do}, params(), commands)


@st.composite
def schedules(
    draw: st.DrawFn, setting: Setting, sets: st.SearchStrategy[dict[bytes, bytes]] | None = None
) -> Schedule:
    """Whole schedules: parameters, pairs, cuts of the writes, pauses of the reads, and the end.

    Parameters
    ----------
    setting : Setting
        The mode, and the parameters that the worker needs.
    sets : SearchStrategy[dict of bytes to bytes], optional
        Parameter sets to use instead of the setting's; such schedules wait for no answers.

    Returns
    -------
    SearchStrategy[Schedule]
    """
    head = setting.head() if sets is None else parameter_set(draw(sets).items())
    data = head + pairs_of(draw(pairs()))
    is_cut = draw(st.sampled_from([False] * 5 + [True]))
    if is_cut:
        data = data[: draw(st.integers(1, len(data)))]
    is_closed = not is_cut and draw(st.sampled_from([False] * 9 + [True]))
    steps: list[Step] = [CloseOutput()] if is_closed else []
    cuts = sorted(draw(st.sets(st.integers(1, len(data)), max_size=5)) | {len(data)})
    read, begin, reads_stdout = Stdin(data), 0, True
    for cut in cuts:
        if steps and isinstance(steps[-1], Send):  # two writes in a row may or may not be one read
            steps[-1] = Send(steps[-1].data + data[begin:cut])
        else:
            steps.append(Send(data[begin:cut]))
        begin = cut
        n_due = sum(read.n_params + end <= cut for end in read.pairs.ends)
        can_wait = (
            reads_stdout and not is_closed and not is_cut and sets is None and setting.mode == "map"
        )
        choices: list[Step | None] = [None, Taken()]
        choices += [Answers(n_due)] if can_wait else []
        choices += [] if is_closed else [Pause()]
        step = draw(st.sampled_from(choices))
        if step == Pause():  # between two writes, only Taken separates what the worker reads
            steps += [Taken(), Pause() if reads_stdout else Resume()]
            reads_stdout = not reads_stdout
        elif step:
            steps.append(step)
    steps += [] if reads_stdout else [Resume()]
    fault = read.fault
    return until_exit(setting, *steps, breaks=fault.clause if fault else "")
