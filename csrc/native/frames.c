/*
 * Distribute a buffer of frames, without an object per pair and with the GIL released: split_frames
 * of kvproto/protocol/reference.py, in C.
 */
#include "builtins.h"

#include "disco.h"

#include <stdlib.h>
#include <string.h>

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
    PyThreadState *released = kvproto_release_gil(view);
    int failed = assign_pairs(splitting);
    kvproto_take_gil(released);
    if (failed)
        return PyErr_NoMemory();
    PyObject *partitions = new_partitions(splitting);
    if (partitions == NULL)
        return NULL;
    released = kvproto_release_gil(view);
    copy_pairs(splitting);
    kvproto_take_gil(released);
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
