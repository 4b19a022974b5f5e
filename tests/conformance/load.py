"""Every verdict again and again while the processors are busy: `PYTHONPATH=tests python -P -m
conformance.load [TIMES [NAME ...]]`.

Each broken worker is checked by the cases that must tell of it, each correct one by all of them,
TIMES times over (100 unless said), with as many busy processes beside it as there are processors.
Prints each wrong verdict with its report and ends with 1 when there was one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support import conformance_mutants as mutants
from support import contract_mutants, unknown_mutants
from support.languages import LANGUAGES, missing
from support.languages import program as contract_program

from kvproto.conformance.player import Program
from kvproto.conformance.report.parts import failures
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import Check, run, select
from kvproto.driver.files import external


def told(chosen, check: Check) -> tuple[set[str], str]:
    """The ids of the failures that are reported, and the report."""
    results = run(chosen, check, lambda result: None)
    names = {result.name: "evidence" for result in results}
    return {one.result.case.id for one in failures(results)}, report(
        check.program.path, results, names
    )


def subjects(directory: Path):
    """Name, check, the cases to run, and the ids that must be told; broken workers, then correct
    ones.
    """
    tables = {"any": [*mutants.MUTANTS, *unknown_mutants.ANY], "reference": contract_mutants.TOLD}
    for contract, mutant in (
        (contract, mutant) for contract, table in tables.items() for mutant in table
    ):
        for mode in ("map", "reduce"):
            ids = set((getattr(mutant, mode) or ("",))[0].split())
            if ids:
                check = Check(mutant.program(directory), contract=contract, timeout=mutant.watchdog)
                chosen = [
                    one for one in select([mode], "SHOULD", "*", contract) if one[0].id in ids
                ]
                yield f"{mutant.name} ({mode})", check, chosen, ids
    every = select(["map", "reduce"], "SHOULD", "*")
    for source in mutants.CORRECT:
        yield source, Check(mutants.program(source, directory)), every, set()
    for name in ("c", "c++", "perl", "rust", "python"):
        if name in LANGUAGES and not missing(name):
            files = contract_program(name, directory)
            check = Check(Program(files[0], external(files)), contract="reference")
            yield (
                f"contract: {name}",
                check,
                select(["map", "reduce"], "SHOULD", "*", "reference"),
                set(),
            )


def main(times: int, names: list[str]) -> int:
    n_runs = n_wrong = 0
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        with tempfile.TemporaryDirectory(prefix="kvproto-load-") as directory:
            for name, check, chosen, ids in subjects(Path(directory)):
                if names and not any(part in name for part in names):
                    continue
                for _ in range(times):
                    found, text = told(chosen, check)
                    n_runs += 1
                    if found != ids:
                        n_wrong += 1
                        print(
                            f"WRONG: {name}: told {sorted(found)}, not {sorted(ids)}\n{text}",
                            flush=True,
                        )
                print(f"{name}: {times} times, {len(chosen)} checks each", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"{n_runs} runs, {n_wrong} wrong")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:]))
