"""The guide to jobs and `help(Job.run)` list the parameters of a job, no more and no fewer."""

import inspect
import re

import pytest
from support.documentation import page, table
from support.jobs import results

from kvproto.classic import Job, result_iterator
from kvproto.classic.checks import NEEDLESS, REFUSED
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.classic.parameters import SYNONYMS, markdown
from kvproto.classic.worker import PARAMETERS, Worker

OF_RUN = [
    name
    for name, parameter in inspect.signature(Job.run).parameters.items()
    if parameter.kind == parameter.KEYWORD_ONLY
]


def test_the_table_of_the_guide_names_the_parameters_that_there_are():
    parameters = table("docs/jobs.md", "| parameter | default |")
    assert parameters.strip() == markdown().strip(), (
        "kvproto.classic.parameters.markdown() gives it"
    )
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", parameters, re.MULTILINE)
    assert [name for name, _ in rows] == [*PARAMETERS, *OF_RUN]
    for name, default in rows:
        if default.startswith("`"):
            assert default.split("`")[1] == repr(PARAMETERS.get(name)), name


def test_the_help_of_run_names_the_parameters_that_there_are():
    told = re.findall(r"^(\w+) : \S", inspect.getdoc(Job.run), re.MULTILINE)
    assert told == [*OF_RUN, *PARAMETERS]


def test_guide_and_help_give_the_same_signatures():
    names = "map|map_init|map_reader|combiner|partition|reduce|reduce_init|reduce_reader"

    def signatures(text):
        return set(re.findall(rf"\b(?:{names})\([a-z_, ]+\)", text))

    section = page("docs/jobs.md").partition("\n## Parameters\n")[2].partition("\n## ")[0]
    assert signatures(section) == signatures(Job.run.__doc__) and len(signatures(section)) == 9


@pytest.mark.parametrize("old, new", SYNONYMS.items())
def test_a_parameter_is_found_under_the_name_that_older_code_gives_it(old, new):
    class Old(Job):
        pass

    setattr(Old, old, "of the class")
    default = Worker()[new]
    assert Worker().getitem(new, Job(), {}) == default
    assert Worker(**{old: "of the worker"}).getitem(new, Job(), {}) == "of the worker"
    assert Worker(**{old: "of the worker"}).getitem(new, Old(), {}) == "of the class"
    assert (
        Worker().getitem(new, Old(), {old: "given"})
        == Worker().getitem(new, Old(), {new: "given"})
        == "given"
    )


def as_argument(name, value):
    return Job("x").run(input=["raw://b a"], map=nop_map, **{name: value})


def as_attribute(name, value):
    return type("Old", (Job,), {name: value, "map": nop_map})("x").run(input=["raw://b a"])


def as_attribute_of_the_instance(name, value):
    job = Job("x")
    setattr(job, name, value)
    return job.run(input=["raw://b a"], map=nop_map)


def of_the_worker(name, value):
    return Job("x", worker={name: value}).run(input=["raw://b a"], map=nop_map)


WAYS = pytest.mark.parametrize(
    "give", [as_argument, as_attribute, as_attribute_of_the_instance, of_the_worker]
)


@WAYS
@pytest.mark.parametrize("name", ["map_writer", "pipeline"])
def test_an_old_parameter_that_a_job_cannot_do_without_is_refused_with_what_to_use(name, give):
    with pytest.raises(TypeError, match=f"'{name}'.*{re.escape(REFUSED[name])}"):
        give(name, len)


@WAYS
@pytest.mark.parametrize("name", ["nr_maps", "clean"])
def test_an_old_parameter_that_changes_no_result_is_told_with_a_warning_of_the_users_line(
    name, give
):
    with pytest.warns(
        UserWarning, match=f"'{name}' has no effect here: {re.escape(NEEDLESS[name])}"
    ) as told:
        job = give(name, 5)
    assert list(result_iterator(job.wait())) == [("b a", "")]
    assert told[0].filename == (__file__ if give is not of_the_worker else inspect.getfile(Job))


def test_a_method_that_is_called_like_an_old_parameter_is_none(recwarn):
    class Cleans(Job):
        map = staticmethod(nop_map)

        def clean(self):
            super().clean()

        def nodes(self):
            return ["this one"]

    assert results(input=["raw://a"], map=nop_map) == [("a", "")]
    assert list(result_iterator(Cleans().run(input=["raw://a"]).wait())) == [("a", "")]
    assert not recwarn


@pytest.mark.parametrize("way", ["argument", "attribute", "worker"])
def test_merge_partitions_gives_one_reduce_all_keys(way):
    class Sorted(Job):
        partitions, sort = 5, True

        def map(line, params):
            return [(word, 1) for word in line.split()]

        def reduce(pairs, params):
            return pairs

    if way == "attribute":
        Sorted.merge_partitions = True
    job = Sorted(worker={"merge_partitions": True} if way == "worker" else None)
    urls = job.run(
        input=["raw://e d c b a"], **({"merge_partitions": True} if way == "argument" else {})
    ).wait()
    assert len(urls) == 1
    assert [key for key, _ in result_iterator(urls)] == list("abcde")


def test_a_worker_class_may_have_defaults_and_parameters_of_its_own():
    class Mine(Worker):
        def defaults(self):
            return {**super().defaults(), "partitions": 3, "greeting": "hello"}

    class Greets(Job):
        Worker = Mine
        map = staticmethod(nop_map)
        reduce = staticmethod(nop_reduce)

    job = Greets().run(input=["raw://a"], greeting="hi")
    assert len(job.wait()) == 3
    assert job.worker.getitem("greeting", job, {}) == "hello"
    with pytest.raises(TypeError, match="did you mean 'greeting'"):
        Greets().run(input=["raw://a"], greetin="hi")


@pytest.mark.parametrize("cores, expected", [("2", 2), (3, 3)])
def test_max_cores_is_a_number_or_its_digits(cores, expected):
    assert Worker().max_processes(Job(), {"scheduler": {"max_cores": cores}}) == expected


@pytest.mark.parametrize(
    "scheduler, error",
    [
        ({"max_cores": "two"}, ValueError),
        ({"max_cores": True}, ValueError),
        ({"max_core": 2}, TypeError),
        ("2", TypeError),
    ],
)
def test_a_scheduler_that_says_nothing_is_an_error(scheduler, error):
    with pytest.raises(error, match="scheduler"):
        Job("x").run(input=["raw://a"], map=nop_map, scheduler=scheduler)
