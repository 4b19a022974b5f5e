/*
 * Whole buffers of frames, without an object per pair and with the GIL released: frame_lines and
 * split_frames of kvproto/protocol/reference.py, in C.
 */
#include "builtins.h"

#include "disco.h"

#include <stdlib.h>
#include <string.h>

/*
 * Each function measures in a first pass and writes in a second. Other threads may run meanwhile
 * unless they could change what was measured: the GIL stays held for memory that is writable.
 */
static PyThreadState *release_gil(const Py_buffer *view)
{
    return view->readonly ? PyEval_SaveThread() : NULL;
}

static void take_gil(PyThreadState *released)
{
    if (released != NULL)
        PyEval_RestoreThread(released);
}

typedef struct line_count {
    size_t n_lines, longest;
} line_count;

/* Count the lines of data, and a last one without a newline too. */
static line_count count_lines(const unsigned char *data, size_t n_bytes)
{
    line_count count = {0};
    const unsigned char *end = data + n_bytes;
    while (data < end) {
        const unsigned char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t size = (size_t)((newline == NULL ? end : newline + 1) - data);
        count.n_lines++;
        count.longest = size > count.longest ? size : count.longest;
        data += size;
    }
    return count;
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

PyObject *kvproto_frame_lines(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    if (kvproto_check_count("frame_lines", n_args, 2) != 0)
        return NULL;
    int last = PyObject_IsTrue(args[1]);
    if (last < 0 || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    const unsigned char *data = view.buf;
    PyThreadState *released = release_gil(&view);
    size_t n_taken = last ? (size_t)view.len : end_of_last_line(data, (size_t)view.len);
    line_count count = count_lines(data, n_taken);
    take_gil(released);
    PyObject *frames = NULL;
    if (count.longest > UINT32_MAX)
        PyErr_Format(PyExc_ValueError,
                     "a line has %zu bytes, but an item can have at most 4294967295",
                     count.longest);
    else if (count.n_lines > ((size_t)PY_SSIZE_T_MAX - n_taken) / 8)
        PyErr_NoMemory();
    else
        frames = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n_taken + 8 * count.n_lines));
    if (frames != NULL) {
        char *out = PyBytes_AsString(frames);
        released = release_gil(&view);
        write_framed_lines(data, n_taken, out);
        take_gil(released);
    }
    PyBuffer_Release(&view);
    return frames == NULL ? NULL : Py_BuildValue("(Nn)", frames, (Py_ssize_t)n_taken);
}

static uint32_t crc_table[256];

void kvproto_fill_crc_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        crc_table[byte] = crc;
    }
}

uint32_t kvproto_crc32(const unsigned char *data, size_t n_bytes)
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
    char **outs;      /* offset of the next pair of each partition */
} split_state;

static size_t next_pair(const split_state *splitting, size_t at, disco_slice *key)
{
    disco_slice value;
    size_t consumed;
    disco_status status = disco_decode_pair(splitting->data + at, splitting->n_bytes - at,
                                            UINT32_MAX, key, &value, &consumed);
    return status == DISCO_OK ? consumed : 0;
}

/*
 * First pass: find the partition of each pair and the bytes of each partition. -1: out of memory.
 */
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
        uint32_t owner = kvproto_crc32(key.data, key.n_bytes) % splitting->n_partitions;
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

/* A list of bytes objects of these sizes; `outs` points into them. */
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

static PyObject *split_view(split_state *splitting, const Py_buffer *view)
{
    splitting->sizes = calloc(splitting->n_partitions, sizeof *splitting->sizes);
    splitting->outs = calloc(splitting->n_partitions, sizeof *splitting->outs);
    if (splitting->sizes == NULL || splitting->outs == NULL)
        return PyErr_NoMemory();
    PyThreadState *released = release_gil(view);
    int failed = assign_pairs(splitting);
    take_gil(released);
    if (failed)
        return PyErr_NoMemory();
    PyObject *partitions = new_partitions(splitting);
    if (partitions == NULL)
        return NULL;
    released = release_gil(view);
    copy_pairs(splitting);
    take_gil(released);
    return Py_BuildValue("(Nn)", partitions, (Py_ssize_t)splitting->n_taken);
}

PyObject *kvproto_split_frames(PyObject *Py_UNUSED(module), PyObject *const *args,
                               Py_ssize_t n_args)
{
    Py_buffer view;
    if (kvproto_check_count("split_frames", n_args, 2) != 0)
        return NULL;
    long n_partitions = PyLong_AsLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    if (n_partitions < 1 || n_partitions > INT32_MAX)
        return PyErr_Format(PyExc_ValueError, "n_partitions must be at least 1, not %ld",
                            n_partitions);
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    split_state splitting = {
        .data = view.buf, .n_bytes = (size_t)view.len, .n_partitions = (uint32_t)n_partitions};
    PyObject *result = split_view(&splitting, &view);
    free(splitting.owners);
    free(splitting.sizes);
    free(splitting.outs);
    PyBuffer_Release(&view);
    return result;
}
