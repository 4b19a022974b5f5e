/*
 * The compiled primitives behind kvproto/_native.py: what kvproto/_reference.py says, made in C.
 *
 * Linked into the cffi module, limited API, so that one binary serves every CPython from 3.11. cffi
 * itself cannot pass Python objects: kvproto_export() puts these functions into a dict as builtins,
 * once, at import. Each answers as its reference does: values, position, fault, error type and text.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "disco.h"
#include "native.h"

#include <stdlib.h>
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
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL)
        return NULL;
    PyObject *k = PyBytes_FromStringAndSize((const char *)key->data, (Py_ssize_t)key->n_bytes);
    PyObject *v = PyBytes_FromStringAndSize((const char *)value->data, (Py_ssize_t)value->n_bytes);
    if (k == NULL || v == NULL) {
        Py_XDECREF(k);
        Py_XDECREF(v);
        Py_DECREF(pair);
        return NULL;
    }
    PyTuple_SetItem(pair, 0, k);
    PyTuple_SetItem(pair, 1, v);
    PyObject_GC_UnTrack(pair); /* bytes cannot be part of a cycle: the collector would do the same, later */
    return pair;
}

/* Append up to `most` complete pairs to out; returns how many, -1 with an exception set. */
static int64_t take_pairs(scan_state *scan, uint64_t most, PyObject *out)
{
    uint64_t n_pairs = 0;
    disco_slice key, value;
    size_t consumed;
    while (n_pairs < most) {
        disco_status status = disco_decode_pair(scan->data + scan->at, scan->n_bytes - scan->at, scan->max_item, &key,
                                                &value, &consumed);
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

static int begin_scan(scan_state *scan, Py_buffer *view, PyObject *data, PyObject *start, PyObject *max_item)
{
    size_t at = PyLong_AsSize_t(start);
    unsigned long limit = PyLong_AsUnsignedLong(max_item);
    if (PyErr_Occurred() || PyObject_GetBuffer(data, view, PyBUF_SIMPLE) != 0)
        return -1;
    if (at > (size_t)view->len)
        at = (size_t)view->len;
    *scan = (scan_state){.data = view->buf, .n_bytes = (size_t)view->len, .at = at, .max_item = (uint32_t)limit};
    return 0;
}

static int check_count(const char *name, Py_ssize_t n_given, Py_ssize_t n_wanted)
{
    if (n_given == n_wanted)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, n_wanted, n_given);
    return -1;
}

/* A million new tuples would set off the cycle collector a thousand times, for nothing. */
static int pause_collector(void) { return PyGC_Disable(); }

static void resume_collector(int was_enabled)
{
    if (was_enabled)
        PyGC_Enable();
}

static PyObject *scan_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    scan_state scan;
    if (check_count("scan_pairs", n_args, 5) != 0)
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

/* Append complete lists to out. *pairs is the list under way, a strong reference, NULL between lists. */
static int take_lists(scan_state *scan, PyObject **pairs, uint32_t *pairs_left, PyObject *out)
{
    for (;;) {
        if (*pairs == NULL) {
            if (scan->n_bytes - scan->at < 4)
                return 0;
            *pairs_left = disco_get_u32(scan->data + scan->at);
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

static PyObject *scan_lists(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    scan_state scan;
    if (check_count("scan_lists", n_args, 6) != 0)
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
    return Py_BuildValue("(nNki)", (Py_ssize_t)scan.at, pairs, (unsigned long)pairs_left, (int)scan.fault);
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

static const char *item_bytes(const pack_state *packing, const char *name, PyObject *item, Py_ssize_t *size)
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
        PyErr_Format(PyExc_ValueError, "the %s of pair %zd is a str that UTF-8 cannot encode: surrogates not allowed",
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
        PyErr_Format(PyExc_ValueError, "the %s of pair %zd has %zd bytes, the limit is %zu", name,
                     packing->first_index + packing->n_pairs, size, packing->max_item);
        return -1;
    }
    if (packing->out != NULL) {
        disco_put_u32(packing->out + packing->n_bytes, (uint32_t)size);
        memcpy(packing->out + packing->n_bytes + 4, data, (size_t)size);
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
        PyErr_Format(PyExc_TypeError, "pair %zd is not a (key, value) tuple or list: %U of %zd", index, type_name,
                     PySequence_Size(pair));
    else
        PyErr_Format(PyExc_TypeError, "pair %zd is not a (key, value) tuple or list: %U", index, type_name);
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

/* Where the kernel has huge pages on request, a large result costs one page fault for 2 MiB, not 512. */
static void ask_for_huge_pages(char *data, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t page = 1 << 21, from = ((uintptr_t)data + page - 1) / page * page, to = (uintptr_t)data + n_bytes;
    if (to > from && to - from >= page)
        madvise((void *)from, (to - from) / page * page, MADV_HUGEPAGE);
#else
    (void)data, (void)n_bytes;
#endif
}

/* No Python code runs between the two passes, so that what was measured is what is written. */
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

static PyObject *pack_pairs(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    pack_state packing = {0};
    if (n_args != 2 && check_count("pack_pairs", n_args, 3) != 0)
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

/* ---- whole buffers, no object per pair: the GIL is released ------------------------------------ */

static size_t count_lines(const unsigned char *data, size_t n_bytes)
{
    size_t n_lines = 0;
    const unsigned char *end = data + n_bytes;
    while (data < end && (data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        n_lines++;
        data++;
    }
    return n_lines;
}

static size_t end_of_last_line(const unsigned char *data, size_t n_bytes)
{
    while (n_bytes > 0 && data[n_bytes - 1] != '\n')
        n_bytes--;
    return n_bytes;
}

static void write_framed_lines(const unsigned char *data, size_t n_bytes, char *out)
{
    const unsigned char *end = data + n_bytes;
    while (data < end) {
        const unsigned char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t size = (size_t)((newline == NULL ? end : newline + 1) - data);
        disco_put_u32(out, 0);
        disco_put_u32(out + 4, (uint32_t)size);
        memcpy(out + 8, data, size);
        out += 8 + size;
        data += size;
    }
}

static PyObject *frame_lines(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    if (check_count("frame_lines", n_args, 2) != 0)
        return NULL;
    int last = PyObject_IsTrue(args[1]);
    if (last < 0 || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    const unsigned char *data = view.buf;
    size_t n_taken, n_lines;
    Py_BEGIN_ALLOW_THREADS
    n_taken = last ? (size_t)view.len : end_of_last_line(data, (size_t)view.len);
    n_lines = count_lines(data, n_taken) + (n_taken > 0 && data[n_taken - 1] != '\n');
    Py_END_ALLOW_THREADS
    PyObject *frames = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n_taken + 8 * n_lines));
    if (frames != NULL) {
        char *out = PyBytes_AsString(frames);
        Py_BEGIN_ALLOW_THREADS
        write_framed_lines(data, n_taken, out);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    return frames == NULL ? NULL : Py_BuildValue("(Nn)", frames, (Py_ssize_t)n_taken);
}

static uint32_t crc_table[256];

static void fill_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        crc_table[byte] = crc;
    }
}

/* As zlib's crc32(), which the Python side uses for a key at a time. */
static uint32_t crc32_of(const unsigned char *data, size_t n_bytes)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t at = 0; at < n_bytes; at++)
        crc = crc >> 8 ^ crc_table[(crc ^ data[at]) & 0xFF];
    return ~crc;
}

typedef struct split_state {
    const unsigned char *data;
    size_t n_bytes, n_pairs, n_taken;
    uint32_t n_partitions;
    uint32_t *owners; /* partition of each pair */
    size_t *sizes;    /* bytes of each partition */
    char **outs;      /* where the next pair of each partition goes */
} split_state;

static size_t next_pair(const split_state *splitting, size_t at, disco_slice *key)
{
    disco_slice value;
    size_t consumed;
    disco_status status =
        disco_decode_pair(splitting->data + at, splitting->n_bytes - at, UINT32_MAX, key, &value, &consumed);
    return status == DISCO_OK ? consumed : 0;
}

/* First pass: whose is each pair, and how many bytes has each partition? -1: out of memory. */
static int assign_pairs(split_state *splitting)
{
    size_t capacity = 0, size;
    disco_slice key;
    while ((size = next_pair(splitting, splitting->n_taken, &key)) != 0) {
        if (splitting->n_pairs == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            uint32_t *owners = realloc(splitting->owners, capacity * sizeof *owners);
            if (owners == NULL)
                return -1;
            splitting->owners = owners;
        }
        uint32_t owner = crc32_of(key.data, key.n_bytes) % splitting->n_partitions;
        splitting->owners[splitting->n_pairs++] = owner;
        splitting->sizes[owner] += size;
        splitting->n_taken += size;
    }
    return 0;
}

/* Second pass: copy each pair to its partition. */
static void copy_pairs(split_state *splitting)
{
    size_t at = 0;
    disco_slice key;
    for (size_t index = 0; index < splitting->n_pairs; index++) {
        size_t size = next_pair(splitting, at, &key);
        char **out = &splitting->outs[splitting->owners[index]];
        memcpy(*out, splitting->data + at, size);
        *out += size;
        at += size;
    }
}

/* A list of bytes objects of the sizes found, `outs` pointing into them. */
static PyObject *new_partitions(split_state *splitting)
{
    PyObject *partitions = PyList_New(splitting->n_partitions);
    for (uint32_t index = 0; partitions != NULL && index < splitting->n_partitions; index++) {
        PyObject *frames = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)splitting->sizes[index]);
        if (frames == NULL || PyList_SetItem(partitions, index, frames) != 0)
            Py_CLEAR(partitions);
        else
            splitting->outs[index] = PyBytes_AsString(frames);
    }
    return partitions;
}

static PyObject *split_view(split_state *splitting)
{
    int failed;
    PyObject *partitions = NULL;
    splitting->sizes = calloc(splitting->n_partitions, sizeof *splitting->sizes);
    splitting->outs = calloc(splitting->n_partitions, sizeof *splitting->outs);
    if (splitting->sizes == NULL || splitting->outs == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    failed = assign_pairs(splitting);
    Py_END_ALLOW_THREADS
    if (failed)
        return PyErr_NoMemory();
    partitions = new_partitions(splitting);
    if (partitions == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    copy_pairs(splitting);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(Nn)", partitions, (Py_ssize_t)splitting->n_taken);
}

static PyObject *split_frames(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    if (check_count("split_frames", n_args, 2) != 0)
        return NULL;
    long n_partitions = PyLong_AsLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (n_partitions < 1 || n_partitions > INT32_MAX)
        return PyErr_Format(PyExc_ValueError, "n_partitions must be at least 1, not %ld", n_partitions);
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    split_state splitting = {
        .data = view.buf, .n_bytes = (size_t)view.len, .n_partitions = (uint32_t)n_partitions};
    PyObject *result = split_view(&splitting);
    free(splitting.owners);
    free(splitting.sizes);
    free(splitting.outs);
    PyBuffer_Release(&view);
    return result;
}

/* ---- hand them over --------------------------------------------------------------------------- */

#define BUILTIN(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}

static PyMethodDef builtins[] = {
    BUILTIN(scan_pairs),  BUILTIN(scan_lists),   BUILTIN(pack_pairs),
    BUILTIN(frame_lines), BUILTIN(split_frames), {NULL, NULL, 0, NULL},
};

int kvproto_export(uintptr_t dict)
{
    PyGILState_STATE state = PyGILState_Ensure(); /* cffi released it around this call */
    int failed = 0;
    fill_crc_table();
    for (PyMethodDef *method = builtins; !failed && method->ml_name != NULL; method++) {
        PyObject *function = PyCFunction_NewEx(method, NULL, NULL);
        failed = function == NULL || PyDict_SetItemString((PyObject *)dict, method->ml_name, function) != 0;
        Py_XDECREF(function);
    }
    PyGILState_Release(state);
    return failed;
}
