"""Jobs in a notebook: their functions are in no file that a task could import."""

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.slow

CELLS = [
    """
from kvproto.classic import Job, kvgroup, result_iterator
least = 2
def words(line, params):
    return [(word, 1) for word in line.split()]
""",
    """
class Count(Job):
    map = words
    sort = True
    def reduce(pairs, params):
        for word, ones in kvgroup(pairs):
            if (n := sum(ones)) >= least:
                yield word, n
""",
    "print(*result_iterator(Count().run(input=['raw://a b a c b a']).wait()))",
]


def test_functions_and_classes_of_cells_run_as_a_job():
    manager, client = start_new_kernel(kernel_name="python3")
    printed = []

    def keep(message):
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            printed.append(content["text"])
        elif message["msg_type"] == "error":
            printed.append("\n".join(content["traceback"]))

    try:
        for cell in CELLS:
            client.execute_interactive(cell, timeout=60, output_hook=keep)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "".join(printed) == "('a', 3) ('b', 2)\n"
