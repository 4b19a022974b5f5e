/*
 * Distribute pairs of objects to the lists of their partitions: deal_pairs of
 * kvproto/protocol/reference.py, in C.
 */
#include "builtins.h"

#include "crc.h"

/*
 * The partition of a key, or -1 with an exception set. `other` chooses it for keys of other types.
 */
static Py_ssize_t partition_of(PyObject *key, Py_ssize_t n_partitions, PyObject *other)
{
    Py_ssize_t size = 0;
    const char *text = NULL;
    char *bytes = NULL;
    if (Py_IS_TYPE(key, &PyUnicode_Type)) {
        text = PyUnicode_AsUTF8AndSize(key, &size);
        if (text == NULL)
            PyErr_Clear(); /* it has lone surrogates, for instance */
    } else if (Py_IS_TYPE(key, &PyBytes_Type) && PyBytes_AsStringAndSize(key, &bytes, &size) == 0) {
        text = bytes;
    }
    if (text != NULL)
        return (Py_ssize_t)kvproto_crc32((const unsigned char *)text, (size_t)size) % n_partitions;
    if (Py_IS_TYPE(key, &PyLong_Type)) {
        Py_ssize_t rest = PyObject_Hash(key) % n_partitions;
        return rest < 0 ? rest + n_partitions : rest; /* as Python's % */
    }
    PyObject *number = PyObject_CallFunctionObjArgs(other, key, NULL);
    if (number == NULL)
        return -1;
    Py_ssize_t partition = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    return partition;
}

static int refuse_types(void)
{
    PyErr_SetString(PyExc_TypeError,
                    "deal_pairs() takes a list of tuples, a list of lists, and a callable");
    return -1;
}

static int deal_pair(PyObject *pair, PyObject *parts, PyObject *other)
{
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) == 0 || PyList_Size(parts) == 0)
        return refuse_types();
    Py_ssize_t partition = partition_of(PyTuple_GetItem(pair, 0), PyList_Size(parts), other);
    PyObject *part = PyErr_Occurred() ? NULL : PyList_GetItem(parts, partition);
    if (part == NULL)
        return -1;
    return PyList_Check(part) ? PyList_Append(part, pair) : refuse_types();
}

PyObject *kvproto_deal_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("deal_pairs", n_args, 3) != 0)
        return NULL;
    PyObject *pairs = args[0], *parts = args[1];
    int failed = 0;
    if (!PyList_Check(pairs) || !PyList_Check(parts) || !PyCallable_Check(args[2]))
        failed = refuse_types();
    for (Py_ssize_t index = 0; !failed && index < PyList_Size(pairs); index++) {
        PyObject *pair = Py_NewRef(
            PyList_GetItem(pairs, index)); /* `other` is Python code and may do anything */
        failed = deal_pair(pair, parts, args[2]);
        Py_DECREF(pair);
    }
    return failed ? NULL : Py_NewRef(Py_None);
}
