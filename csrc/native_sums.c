/*
 * Pairs summed as they come, without a list of them and without a step of the interpreter for each: sum_pairs of
 * kvproto/_reference.py, in C.
 */
#include "native_internal.h"

/* Numbers whose addition runs no code of the user's and can be left off in the middle. */
static int is_plain(PyObject *value)
{
    return Py_IS_TYPE(value, &PyLong_Type) || Py_IS_TYPE(value, &PyFloat_Type);
}

/* 1: the pair is in its sum; 0: it is not, for whatever reason, and no exception is set. */
static int add_pair(PyObject *sums, PyObject *zero, PyObject *pair)
{
    if (!Py_IS_TYPE(pair, &PyTuple_Type) || PyTuple_Size(pair) != 2)
        return 0;
    PyObject *key = PyTuple_GetItem(pair, 0), *value = PyTuple_GetItem(pair, 1);
    if (!is_plain(value))
        return 0;
    PyObject *sum = PyDict_GetItemWithError(sums, key);
    PyObject *more = NULL;
    if (sum != NULL ? is_plain(sum) : !PyErr_Occurred())
        more = PyNumber_Add(sum != NULL ? sum : zero, value);
    int is_added = more != NULL && PyDict_SetItem(sums, key, more) == 0;
    Py_XDECREF(more);
    if (!is_added)
        PyErr_Clear(); /* the caller does the pair again, and gets the same error */
    return is_added;
}

/* Returns the first pair that is left to the caller, a new reference; NULL at the end, or with an exception set. */
static PyObject *sum_until(PyObject *pairs, PyObject *sums, Py_ssize_t max_keys, PyObject *zero)
{
    PyObject *pair;
    while ((pair = PyIter_Next(pairs)) != NULL) {
        if (PyDict_Size(sums) >= max_keys || !add_pair(sums, zero, pair))
            return pair;
        Py_DECREF(pair);
    }
    return NULL;
}

PyObject *kvproto_sum_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("sum_pairs", n_args, 3) != 0)
        return NULL;
    Py_ssize_t max_keys = PyLong_AsSsize_t(args[2]);
    if (max_keys == -1 && PyErr_Occurred())
        return NULL;
    if (!PyIter_Check(args[0]) || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "sum_pairs() takes an iterator, a dict and an int");
        return NULL;
    }
    PyObject *left = PyList_New(0), *zero = PyLong_FromLong(0);
    PyObject *pair = left == NULL || zero == NULL ? NULL : sum_until(args[0], args[1], max_keys, zero);
    if (PyErr_Occurred() || (pair != NULL && PyList_Append(left, pair) != 0))
        Py_CLEAR(left);
    Py_XDECREF(pair);
    Py_XDECREF(zero);
    return left;
}
