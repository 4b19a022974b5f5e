/*
 * Pairs of objects to the typed frames of their partitions, as they come: deal_typed of
 * kvproto/protocol/reference.py, in C.
 */
#include "typed.h"

#include "crc.h"
#include "inline.h"

#include <string.h>

/* Bytes: no item of a frame is larger. */
static const size_t MAX_TYPED = (size_t)1 << 24;

typedef struct typed_parts {
    PyObject *parts;     /* a list of bytearrays */
    PyObject *partition; /* a callable, or None: crc32(key) */
    PyTypeObject *key_type;
    Py_buffer used, n_pairs; /* an uint64_t for each part */
    uint64_t max_bytes;
} typed_parts;

/* What adding a pair comes to, besides an exception. */
enum { FAILED = -1, LEFT = 0, ADDED = 1 };

static uint64_t *number_of(const Py_buffer *numbers, Py_ssize_t index)
{
    return (uint64_t *)numbers->buf + index;
}

/* The partition of a key, or -1 with an exception set. */
static Py_ssize_t partition_of(const typed_parts *parts, PyObject *key, const char *data,
                               Py_ssize_t size)
{
    Py_ssize_t n_parts = PyList_Size(parts->parts);
    if (n_parts == 1)
        return 0;
    if (parts->partition == Py_None)
        return (Py_ssize_t)kvproto_crc32((const unsigned char *)data, (size_t)size) % n_parts;
    PyObject *number = PyObject_CallFunctionObjArgs(parts->partition, key, NULL);
    if (number == NULL)
        return -1;
    Py_ssize_t index = PyLong_AsSsize_t(number);
    Py_DECREF(number);
    if (index == -1 && PyErr_Occurred())
        return -1;
    if (index < 0 || index >= n_parts) {
        PyErr_Format(PyExc_IndexError, "deal_typed(): there is no partition %zd", index);
        return -1;
    }
    return index;
}

/* Append a frame to a part. Returns 0, or -1 with an exception set. */
static int append_frame(PyObject *part, uint64_t *used, const char *key, size_t key_size,
                        const typed_value *value)
{
    size_t at = (size_t)*used, end = at + 4 + key_size + 5 + value->n_bytes;
    size_t room = (size_t)PyByteArray_Size(part);
    if (end > room && PyByteArray_Resize(part, (Py_ssize_t)(end < 2 * room ? 2 * room : end)) != 0)
        return -1;
    char *out = PyByteArray_AsString(part) + at;
    put_u32(out, (uint32_t)key_size);
    memcpy(out + 4, key, key_size);
    out += 4 + key_size;
    put_u32(out, (uint32_t)value->n_bytes + 1);
    out[4] = value->letter;
    memcpy(out + 5, value->data, value->n_bytes);
    *used = end;
    return 0;
}

/* Add a pair; *index becomes its partition. */
static int add_pair(const typed_parts *parts, PyObject *pair, Py_ssize_t *index)
{
    Py_ssize_t size;
    typed_value value;
    if (!Py_IS_TYPE(pair, &PyTuple_Type) || PyTuple_Size(pair) != 2)
        return LEFT;
    PyObject *key = PyTuple_GetItem(pair, 0);
    const char *data = kvproto_bytes_of(key, parts->key_type, &size);
    if (data == NULL || !kvproto_read_typed(PyTuple_GetItem(pair, 1), &value))
        return LEFT;
    if ((size_t)size > MAX_TYPED || value.n_bytes > MAX_TYPED)
        return LEFT;
    *index = partition_of(parts, key, data, size);
    PyObject *part = *index < 0 ? NULL : PyList_GetItem(parts->parts, *index);
    if (part == NULL ||
        append_frame(part, number_of(&parts->used, *index), data, (size_t)size, &value) != 0)
        return FAILED;
    ++*number_of(&parts->n_pairs, *index);
    return ADDED;
}

/* Returns what deal_typed() does, or NULL with an exception set. */
static PyObject *deal_all(const typed_parts *parts, PyObject *pairs)
{
    iternextfunc next_pair = (iternextfunc)PyType_GetSlot(Py_TYPE(pairs), Py_tp_iternext);
    PyObject *pair;
    while ((pair = next_pair(pairs)) != NULL) {
        Py_ssize_t index = 0;
        int added = add_pair(parts, pair, &index);
        PyObject *left = added == LEFT ? Py_BuildValue("[O]", pair) : NULL;
        Py_DECREF(pair);
        if (added != ADDED)
            return left;
        if (*number_of(&parts->used, index) >= parts->max_bytes)
            return PyLong_FromSsize_t(index);
    }
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_StopIteration))
            return NULL;
        PyErr_Clear();
    }
    return PyLong_FromLong(-1);
}

/* Returns 0, or -1 with an exception set. */
static int check_parts(const typed_parts *parts, PyObject *pairs)
{
    Py_ssize_t n_parts = PyList_Check(parts->parts) ? PyList_Size(parts->parts) : 0;
    Py_ssize_t n_bytes = n_parts * (Py_ssize_t)sizeof(uint64_t);
    int is_right = n_parts > 0 && parts->used.len == n_bytes && parts->n_pairs.len == n_bytes &&
                   PyIter_Check(pairs);
    for (Py_ssize_t index = 0; is_right && index < n_parts; index++)
        is_right = PyObject_TypeCheck(PyList_GetItem(parts->parts, index), &PyByteArray_Type);
    if (is_right)
        return 0;
    PyErr_SetString(PyExc_TypeError, "deal_typed() takes an iterator, a list of bytearrays, and "
                                     "for each of them a number in two arrays");
    return -1;
}

PyObject *kvproto_deal_typed(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("deal_typed", n_args, 7) != 0)
        return NULL;
    int is_text = PyObject_IsTrue(args[4]);
    typed_parts parts = {.parts = args[1],
                         .partition = args[6],
                         .key_type = is_text ? &PyUnicode_Type : &PyBytes_Type,
                         .max_bytes = PyLong_AsUnsignedLongLong(args[5])};
    if (is_text < 0 || PyErr_Occurred() ||
        PyObject_GetBuffer(args[2], &parts.used, PyBUF_WRITABLE) != 0)
        return NULL;
    PyObject *stop = NULL;
    if (PyObject_GetBuffer(args[3], &parts.n_pairs, PyBUF_WRITABLE) == 0) {
        if (check_parts(&parts, args[0]) == 0)
            stop = deal_all(&parts, args[0]);
        PyBuffer_Release(&parts.n_pairs);
    }
    PyBuffer_Release(&parts.used);
    return stop;
}
