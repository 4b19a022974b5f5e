/*
 * Pairs of Python objects as frames whose values begin with a letter for their type: pack_typed and
 * unpack_typed of kvproto/protocol/reference.py, in C.
 */
#include "typed.h"

#include "inline.h"

#include <string.h>

/* Bytes that grow: a new bytearray, which is never seen by others while it is written. */
typedef struct typed_out {
    PyObject *array;
    size_t n_bytes, room;
} typed_out;

/* Returns where the next n_bytes go, or NULL with an exception set. */
static char *more_room(typed_out *out, size_t n_bytes)
{
    if (n_bytes > (size_t)PY_SSIZE_T_MAX / 4 - out->n_bytes) {
        PyErr_NoMemory();
        return NULL;
    }
    size_t wanted = out->n_bytes + n_bytes;
    if (wanted > out->room) {
        size_t room = wanted < 2 * out->room ? 2 * out->room : wanted;
        if (PyByteArray_Resize(out->array, (Py_ssize_t)room) != 0)
            return NULL;
        out->room = room;
    }
    return PyByteArray_AsString(out->array) + out->n_bytes;
}

static int add_item(typed_out *out, char letter, const void *data, size_t n_bytes)
{
    size_t n_letters = letter != 0;
    if (n_bytes > UINT32_MAX - n_letters) {
        PyErr_Format(PyExc_ValueError, "an item has %zu bytes, but it can have at most 4294967295",
                     n_bytes);
        return -1;
    }
    char *end = more_room(out, 4 + n_letters + n_bytes);
    if (end == NULL)
        return -1;
    put_u32(end, (uint32_t)(n_letters + n_bytes));
    if (letter != 0)
        end[4] = letter;
    memcpy(end + 4 + n_letters, data, n_bytes);
    out->n_bytes += 4 + n_letters + n_bytes;
    return 0;
}

const char *kvproto_bytes_of(PyObject *object, PyTypeObject *type, Py_ssize_t *size)
{
    const char *text = NULL;
    char *data = NULL;
    if (!Py_IS_TYPE(object, type))
        return NULL;
    if (type == &PyBytes_Type)
        return PyBytes_AsStringAndSize(object, &data, size) == 0 ? data : NULL;
    text = PyUnicode_AsUTF8AndSize(object, size);
    if (text == NULL)
        PyErr_Clear(); /* lone surrogates */
    return text;
}

static void put_u64(unsigned char *out, uint64_t number)
{
    put_u32(out, (uint32_t)number);
    put_u32(out + 4, (uint32_t)(number >> 32));
}

static uint64_t get_u64(const unsigned char *data)
{
    return get_u32(data) | (uint64_t)get_u32(data + 4) << 32;
}

static int read_bytes(PyObject *value, PyTypeObject *type, char letter, typed_value *typed)
{
    Py_ssize_t size = 0;
    typed->data = kvproto_bytes_of(value, type, &size);
    typed->n_bytes = (size_t)size;
    typed->letter = letter;
    return typed->data != NULL;
}

static int read_number(uint64_t bits, char letter, typed_value *typed)
{
    put_u64(typed->number, bits);
    typed->data = typed->number;
    typed->n_bytes = sizeof typed->number;
    typed->letter = letter;
    return 1;
}

int kvproto_read_typed(PyObject *value, typed_value *typed)
{
    if (Py_IS_TYPE(value, &PyLong_Type)) {
        int overflow;
        int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow && read_number((uint64_t)number, 'i', typed);
    }
    if (Py_IS_TYPE(value, &PyUnicode_Type))
        return read_bytes(value, &PyUnicode_Type, 's', typed);
    if (Py_IS_TYPE(value, &PyBytes_Type))
        return read_bytes(value, &PyBytes_Type, 'b', typed);
    if (Py_IS_TYPE(value, &PyFloat_Type)) {
        double real = PyFloat_AsDouble(value);
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        return read_number(bits, 'f', typed);
    }
    typed->letter = value == Py_None ? 'n' : value == Py_True ? 't' : 'u';
    typed->data = typed->number;
    typed->n_bytes = 0;
    return value == Py_None || value == Py_True || value == Py_False;
}

/* Add what `other` makes of the pair: (key, value) as bytes. */
static int add_other(typed_out *out, PyObject *pair, PyObject *other)
{
    PyObject *items = PyObject_CallFunctionObjArgs(other, pair, NULL);
    if (items == NULL)
        return -1;
    Py_ssize_t key_size, value_size;
    const char *key = NULL, *value = NULL;
    if (PyTuple_Check(items) && PyTuple_Size(items) == 2) {
        key = kvproto_bytes_of(PyTuple_GetItem(items, 0), &PyBytes_Type, &key_size);
        value = kvproto_bytes_of(PyTuple_GetItem(items, 1), &PyBytes_Type, &value_size);
    }
    int failed = -1;
    if (key == NULL || value == NULL)
        PyErr_SetString(PyExc_TypeError, "pack_typed(): other() must return two bytes objects");
    else if (add_item(out, 0, key, (size_t)key_size) == 0)
        failed = add_item(out, 0, value, (size_t)value_size);
    Py_DECREF(items);
    return failed;
}

static int add_typed(typed_out *out, PyObject *pair, PyTypeObject *key_type, PyObject *other)
{
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "pack_typed() takes a list of tuples of two");
        return -1;
    }
    Py_ssize_t size;
    size_t before = out->n_bytes;
    const char *key = kvproto_bytes_of(PyTuple_GetItem(pair, 0), key_type, &size);
    if (key == NULL)
        return add_other(out, pair, other);
    if (add_item(out, 0, key, (size_t)size) != 0)
        return -1;
    typed_value value;
    if (kvproto_read_typed(PyTuple_GetItem(pair, 1), &value))
        return add_item(out, value.letter, value.data, value.n_bytes);
    out->n_bytes = before;
    return add_other(out, pair, other);
}

PyObject *kvproto_pack_typed(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    if (kvproto_check_count("pack_typed", n_args, 3) != 0)
        return NULL;
    int is_text = PyObject_IsTrue(args[1]);
    if (is_text < 0)
        return NULL;
    if (!PyList_Check(args[0]) || !PyCallable_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "pack_typed() takes a list, a bool and a callable");
        return NULL;
    }
    typed_out out = {.array = PyByteArray_FromStringAndSize(NULL, 0)};
    int failed = out.array == NULL;
    PyTypeObject *key_type = is_text ? &PyUnicode_Type : &PyBytes_Type;
    for (Py_ssize_t index = 0; !failed && index < PyList_Size(args[0]); index++) {
        PyObject *pair = Py_NewRef(PyList_GetItem(args[0], index)); /* `other` may do anything */
        failed = add_typed(&out, pair, key_type, args[2]) != 0;
        Py_DECREF(pair);
    }
    if (!failed)
        failed = PyByteArray_Resize(out.array, (Py_ssize_t)out.n_bytes) != 0;
    if (failed)
        Py_CLEAR(out.array);
    return out.array;
}

/* ---- back to objects ------------------------------------------------------------------------ */

typedef struct typed_in {
    disco_slice key, value;
    PyTypeObject *key_type;
    PyObject *other;
    PyObject *last_key; /* the object of the pair before; NULL at the beginning */
    disco_slice last;
} typed_in;

static PyObject *text_from(const void *data, size_t n_bytes)
{
    return PyUnicode_DecodeUTF8(data, (Py_ssize_t)n_bytes, "surrogatepass");
}

/* Equal keys follow each other in sorted frames: they share one object. */
static PyObject *key_from(typed_in *in)
{
    if (in->last_key != NULL && in->last.n_bytes == in->key.n_bytes &&
        memcmp(in->last.data, in->key.data, in->key.n_bytes) == 0)
        return Py_NewRef(in->last_key);
    PyObject *key =
        in->key_type == &PyUnicode_Type
            ? text_from(in->key.data, in->key.n_bytes)
            : PyBytes_FromStringAndSize((const char *)in->key.data, (Py_ssize_t)in->key.n_bytes);
    Py_XDECREF(in->last_key);
    in->last_key = key == NULL ? NULL : Py_NewRef(key);
    in->last = in->key;
    return key;
}

/* The value, or NULL: with an exception set, or without one if `other` must read the pair. */
static PyObject *value_from(const disco_slice *value)
{
    if (value->n_bytes == 0)
        return NULL;
    const unsigned char *data = value->data;
    size_t n_bytes = value->n_bytes - 1;
    char letter = (char)*data++;
    if (letter == 's')
        return text_from(data, n_bytes);
    if (letter == 'b')
        return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)n_bytes);
    if (letter == 'i' && n_bytes == 8)
        return PyLong_FromLongLong((int64_t)get_u64(data));
    if (letter == 'f' && n_bytes == 8) {
        double real;
        uint64_t bits = get_u64(data);
        memcpy(&real, &bits, sizeof real);
        return PyFloat_FromDouble(real);
    }
    if (letter == 'n' && n_bytes == 0)
        return Py_NewRef(Py_None);
    if ((letter == 't' || letter == 'u') && n_bytes == 0)
        return PyBool_FromLong(letter == 't');
    return NULL;
}

static PyObject *pair_from(typed_in *in)
{
    PyObject *pair = NULL, *value = value_from(&in->value);
    if (value != NULL) {
        PyObject *key = key_from(in);
        pair = key == NULL ? NULL : PyTuple_Pack(2, key, value);
        Py_XDECREF(key);
        Py_DECREF(value);
    } else if (!PyErr_Occurred()) {
        pair = PyObject_CallFunction(in->other, "y#y#", in->key.data, (Py_ssize_t)in->key.n_bytes,
                                     in->value.data, (Py_ssize_t)in->value.n_bytes);
    }
    return pair;
}

PyObject *kvproto_unpack_typed(PyObject *Py_UNUSED(module), PyObject *const *args,
                               Py_ssize_t n_args)
{
    Py_buffer view;
    if (kvproto_check_count("unpack_typed", n_args, 3) != 0)
        return NULL;
    int is_text = PyObject_IsTrue(args[1]);
    if (is_text < 0 || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    typed_in in = {.key_type = is_text ? &PyUnicode_Type : &PyBytes_Type, .other = args[2]};
    PyObject *pairs = PyList_New(0);
    size_t at = 0, consumed;
    while (pairs != NULL &&
           disco_decode_pair((const char *)view.buf + at, (size_t)view.len - at, UINT32_MAX,
                             &in.key, &in.value, &consumed) == DISCO_OK) {
        PyObject *pair = pair_from(&in);
        if (pair == NULL || PyList_Append(pairs, pair) != 0)
            Py_CLEAR(pairs);
        Py_XDECREF(pair);
        at += consumed;
    }
    if (pairs != NULL && at != (size_t)view.len) {
        PyErr_SetString(PyExc_ValueError, "these are not whole frames");
        Py_CLEAR(pairs);
    }
    Py_XDECREF(in.last_key);
    PyBuffer_Release(&view);
    return pairs;
}
