/*
 * Pairs and lists to Python objects and back: scan_pairs, scan_lists and pack_pairs of
 * kvproto/protocol/reference.py, in C. Each gives the same values, position, fault, error type and
 * text as its reference.
 */
#include "builtins.h"

#include "disco.h"
#include "inline.h"

#include <string.h>
#include <sys/mman.h>

enum fault { FINE = 0, KEY_TOO_LARGE = 1, VALUE_TOO_LARGE = 2 };

/* ---- decode: bytes to lists of tuples ------------------------------------------------------ */

typedef struct scan_state {
    const unsigned char *data;
    size_t n_bytes, at;
    uint32_t max_item;
    enum fault fault;
} scan_state;

static int append_new(PyObject *list, PyObject *item)
{
    if (item == NULL)
        return -1;
    int failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

static PyObject *new_pair(const disco_slice *key, const disco_slice *value)
{
    PyObject *k = PyBytes_FromStringAndSize((const char *)key->data, (Py_ssize_t)key->n_bytes);
    PyObject *v = PyBytes_FromStringAndSize((const char *)value->data, (Py_ssize_t)value->n_bytes);
    PyObject *pair = k == NULL || v == NULL ? NULL : PyTuple_Pack(2, k, v);
    Py_XDECREF(k);
    Py_XDECREF(v);
    if (pair != NULL)
        PyObject_GC_UnTrack(
            pair); /* bytes cannot be part of a cycle; the collector would untrack the pair later */
    return pair;
}

/* Append up to `most` complete pairs to out. Returns how many, or -1 with an exception set. */
static int64_t take_pairs(scan_state *scan, uint64_t most, PyObject *out)
{
    uint64_t n_pairs = 0;
    disco_slice key, value;
    size_t consumed;
    while (n_pairs < most) {
        disco_status status = decode_pair(scan->data + scan->at, scan->n_bytes - scan->at,
                                          scan->max_item, &key, &value, &consumed);
        if (status == DISCO_TOO_LARGE)
            scan->fault = consumed == 0 ? KEY_TOO_LARGE : VALUE_TOO_LARGE;
        if (status != DISCO_OK)
            break;
        if (append_new(out, new_pair(&key, &value)) != 0)
            return -1;
        scan->at += consumed;
        n_pairs++;
    }
    return (int64_t)n_pairs;
}

static int begin_scan(scan_state *scan, Py_buffer *view, PyObject *data, PyObject *start,
                      PyObject *max_item)
{
    size_t at = PyLong_AsSize_t(start);
    unsigned long limit = PyLong_AsUnsignedLong(max_item);
    if (PyErr_Occurred() || PyObject_GetBuffer(data, view, PyBUF_SIMPLE) != 0)
        return -1;
    if (at > (size_t)view->len)
        at = (size_t)view->len;
    *scan = (scan_state){
        .data = view->buf, .n_bytes = (size_t)view->len, .at = at, .max_item = (uint32_t)limit};
    return 0;
}

/* A million new tuples would start the cycle collector a thousand times, in vain. */
static int pause_collector(void) { return PyGC_Disable(); }

static void resume_collector(int was_enabled)
{
    if (was_enabled)
        PyGC_Enable();
}

PyObject *kvproto_scan_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    scan_state scan;
    if (kvproto_check_count("scan_pairs", n_args, 5) != 0)
        return NULL;
    uint64_t most = PyLong_AsUnsignedLongLong(args[2]);
    if (PyErr_Occurred() || begin_scan(&scan, &view, args[0], args[1], args[3]) != 0)
        return NULL;
    int was_enabled = pause_collector();
    int64_t n_pairs = take_pairs(&scan, most, args[4]);
    resume_collector(was_enabled);
    PyBuffer_Release(&view);
    return n_pairs < 0 ? NULL : Py_BuildValue("(ni)", (Py_ssize_t)scan.at, (int)scan.fault);
}

/*
 * Append complete lists to out. *pairs is the current list, a strong reference, or NULL between
 * lists.
 */
static int take_lists(scan_state *scan, PyObject **pairs, uint32_t *pairs_left, PyObject *out)
{
    for (;;) {
        if (*pairs == NULL) {
            if (scan->n_bytes - scan->at < 4)
                return 0;
            *pairs_left = get_u32(scan->data + scan->at);
            scan->at += 4;
            *pairs = PyList_New(0);
            if (*pairs == NULL)
                return -1;
        }
        int64_t n_pairs = take_pairs(scan, *pairs_left, *pairs);
        if (n_pairs < 0)
            return -1;
        *pairs_left -= (uint32_t)n_pairs;
        if (*pairs_left != 0)
            return 0;
        PyObject *complete = *pairs;
        *pairs = NULL;
        if (append_new(out, complete) != 0)
            return -1;
    }
}

PyObject *kvproto_scan_lists(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    scan_state scan;
    if (kvproto_check_count("scan_lists", n_args, 6) != 0)
        return NULL;
    PyObject *pairs = Py_IsNone(args[2]) ? NULL : Py_NewRef(args[2]);
    uint32_t pairs_left = (uint32_t)PyLong_AsUnsignedLong(args[3]);
    if (PyErr_Occurred() || begin_scan(&scan, &view, args[0], args[1], args[4]) != 0) {
        Py_XDECREF(pairs);
        return NULL;
    }
    int was_enabled = pause_collector();
    int failed = take_lists(&scan, &pairs, &pairs_left, args[5]);
    resume_collector(was_enabled);
    PyBuffer_Release(&view);
    if (failed) {
        Py_XDECREF(pairs);
        return NULL;
    }
    if (pairs == NULL)
        pairs = Py_NewRef(Py_None);
    return Py_BuildValue("(nNki)", (Py_ssize_t)scan.at, pairs, (unsigned long)pairs_left,
                         (int)scan.fault);
}

/* ---- encode: pairs to bytes ----------------------------------------------------------------- */

typedef struct pack_state {
    char *out; /* NULL in the first pass, which checks and measures */
    size_t n_bytes, max_item;
    Py_ssize_t n_pairs, first_index;
} pack_state;

static void refuse_type(const pack_state *packing, const char *name, PyObject *item)
{
    PyObject *type_name = PyType_GetName(Py_TYPE(item));
    if (type_name == NULL)
        return;
    PyErr_Format(PyExc_TypeError, "the %s of pair %zd must be bytes or str, not %U", name,
                 packing->first_index + packing->n_pairs, type_name);
    Py_DECREF(type_name);
}

static const char *item_bytes(const pack_state *packing, const char *name, PyObject *item,
                              Py_ssize_t *size)
{
    char *bytes;
    if (Py_IS_TYPE(item, &PyBytes_Type) || PyBytes_Check(item))
        return PyBytes_AsStringAndSize(item, &bytes, size) == 0 ? bytes : NULL;
    if (!PyUnicode_Check(item)) {
        refuse_type(packing, name, item);
        return NULL;
    }
    const char *text = PyUnicode_AsUTF8AndSize(item, size);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError,
                     "the %s of pair %zd is a str that UTF-8 cannot encode: surrogates not allowed",
                     name, packing->first_index + packing->n_pairs);
    }
    return text;
}

static int pack_item(pack_state *packing, const char *name, PyObject *item)
{
    Py_ssize_t size;
    const char *data = item_bytes(packing, name, item, &size);
    if (data == NULL)
        return -1;
    if ((size_t)size > packing->max_item) {
        PyErr_Format(PyExc_ValueError, "the %s of pair %zd has %zd bytes, but the limit is %zu",
                     name, packing->first_index + packing->n_pairs, size, packing->max_item);
        return -1;
    }
    if (packing->out != NULL) {
        put_u32(packing->out + packing->n_bytes, (uint32_t)size);
        memcpy(packing->out + packing->n_bytes + 4, data, (size_t)size);
    }
    if ((size_t)size > (size_t)PY_SSIZE_T_MAX - 4 - packing->n_bytes) {
        PyErr_NoMemory();
        return -1;
    }
    packing->n_bytes += 4 + (size_t)size;
    return 0;
}

static int refuse_pair(const pack_state *packing, PyObject *pair)
{
    PyObject *type_name = PyType_GetName(Py_TYPE(pair));
    if (type_name == NULL)
        return -1;
    Py_ssize_t index = packing->first_index + packing->n_pairs;
    if (PyTuple_Check(pair) || PyList_Check(pair))
        PyErr_Format(PyExc_TypeError, "pair %zd is not a (key, value) tuple or list: %U of %zd",
                     index, type_name, PySequence_Size(pair));
    else
        PyErr_Format(PyExc_TypeError, "pair %zd is not a (key, value) tuple or list: %U", index,
                     type_name);
    Py_DECREF(type_name);
    return -1;
}

static int pack_pair(pack_state *packing, PyObject *pair)
{
    PyObject *key, *value;
    if ((Py_IS_TYPE(pair, &PyTuple_Type) || PyTuple_Check(pair)) && PyTuple_Size(pair) == 2) {
        key = PyTuple_GetItem(pair, 0);
        value = PyTuple_GetItem(pair, 1);
    } else if (PyList_Check(pair) && PyList_Size(pair) == 2) {
        key = PyList_GetItem(pair, 0);
        value = PyList_GetItem(pair, 1);
    } else {
        return refuse_pair(packing, pair);
    }
    if (pack_item(packing, "key", key) != 0 || pack_item(packing, "value", value) != 0)
        return -1;
    packing->n_pairs++;
    return 0;
}

static int pack_list(pack_state *packing, PyObject *pairs)
{
    packing->n_bytes = 0;
    packing->n_pairs = 0;
    Py_ssize_t n_pairs = PyList_Size(pairs);
    for (Py_ssize_t index = 0; index < n_pairs; index++)
        if (pack_pair(packing, PyList_GetItem(pairs, index)) != 0)
            return -1;
    return 0;
}

/*
 * If the kernel has huge pages on request, a large result costs one page fault for 2 MiB instead of
 * 512.
 */
static void ask_for_huge_pages(char *data, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = 1 << 21, from = ((uintptr_t)data + page - 1) / page * page,
              to = (uintptr_t)data + n_bytes;
    if (to > from && to - from >= page)
        madvise((void *)from, (to - from) / page * page, MADV_HUGEPAGE);
#else
    (void)data, (void)n_bytes;
#endif
}

/*
 * No Python code runs between the two passes, so the second writes exactly what the first measured.
 */
static PyObject *pack_measured(pack_state *packing, PyObject *pairs)
{
    if (pack_list(packing, pairs) != 0)
        return NULL;
    PyObject *frames = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)packing->n_bytes);
    if (frames == NULL)
        return NULL;
    packing->out = PyBytes_AsString(frames);
    ask_for_huge_pages(packing->out, packing->n_bytes);
    if (pack_list(packing, pairs) != 0) {
        Py_DECREF(frames);
        return NULL;
    }
    return Py_BuildValue("(Nn)", frames, packing->n_pairs);
}

PyObject *kvproto_pack_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    pack_state packing = {0};
    if (n_args != 2 && kvproto_check_count("pack_pairs", n_args, 3) != 0)
        return NULL;
    packing.max_item = PyLong_AsSize_t(args[1]);
    packing.first_index = n_args == 3 ? PyLong_AsSsize_t(args[2]) : 0;
    if (PyErr_Occurred())
        return NULL;
    PyObject *pairs = PyList_Check(args[0]) ? Py_NewRef(args[0]) : PySequence_List(args[0]);
    if (pairs == NULL)
        return NULL;
    PyObject *result = pack_measured(&packing, pairs);
    Py_DECREF(pairs);
    return result;
}
