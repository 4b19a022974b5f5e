/*
 * The compiled primitives that kvproto/protocol/native.py exports. kvproto/protocol/reference.py is
 * their equivalent in Python.
 *
 * They are linked into the cffi module, with the limited API, so that one binary serves every
 * CPython from 3.11. cffi itself cannot pass Python objects: kvproto_export() puts the functions
 * into a dict as builtins, once, at import.
 */
#include "builtins.h"

#include "crc.h"
#include "native.h"

int kvproto_check_count(const char *name, Py_ssize_t n_given, Py_ssize_t n_wanted)
{
    if (n_given == n_wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, n_wanted, n_given);
    return -1;
}

#define BUILTIN(name)                                                           \
    {                                                                           \
#name, (PyCFunction)(void (*)(void))kvproto_##name, METH_FASTCALL, NULL \
    }

static PyMethodDef builtins[] = {
    BUILTIN(scan_pairs),   BUILTIN(scan_lists), BUILTIN(pack_pairs), BUILTIN(frame_lines),
    BUILTIN(split_lines),  BUILTIN(sum_pairs),  BUILTIN(deal_pairs), BUILTIN(pack_typed),
    BUILTIN(unpack_typed), BUILTIN(flat_map),   BUILTIN(deal_typed), {NULL, NULL, 0, NULL},
};

int kvproto_export(uintptr_t dict)
{
    PyGILState_STATE state = PyGILState_Ensure(); /* cffi released it around this call */
    int failed = 0;
    kvproto_fill_crc_tables();
    for (PyMethodDef *method = builtins; !failed && method->ml_name != NULL; method++) {
        PyObject *function = PyCFunction_NewEx(method, NULL, NULL);
        failed = function == NULL ||
                 PyDict_SetItemString((PyObject *)dict, method->ml_name, function) != 0;
        Py_XDECREF(function);
    }
    PyGILState_Release(state);
    return failed;
}
