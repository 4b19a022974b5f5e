/*
 * Lines of a buffer as frames or as Python objects: frame_lines and split_lines of
 * kvproto/protocol/reference.py, in C.
 */
#include "builtins.h"

#include "inline.h"

#include <string.h>

/*
 * Let other threads run while the lines are counted and then written. The GIL stays held for
 * writable memory, which they could change in between.
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

/* The size of the line at data, its newline included. */
static size_t line_size(const char *data, const char *end)
{
    const char *newline = memchr(data, '\n', (size_t)(end - data));
    return (size_t)((newline == NULL ? end : newline + 1) - data);
}

/*
 * The number of lines, and of a last one without a newline. Counting in a byte, up to 255, becomes
 * fast SIMD code.
 */
static size_t count_lines(const char *data, size_t n_bytes)
{
    size_t n_lines = n_bytes > 0 && data[n_bytes - 1] != '\n';
    for (size_t at = 0; at < n_bytes;) {
        size_t end = n_bytes - at < 255 ? n_bytes : at + 255;
        unsigned char count = 0;
        for (; at < end; at++)
            count = (unsigned char)(count + (data[at] == '\n'));
        n_lines += count;
    }
    return n_lines;
}

/* Returns 0, or the size of a line that is too large for a frame. */
static size_t write_framed_lines(const char *data, size_t n_bytes, char *out)
{
    const char *end = data + n_bytes;
    while (data < end) {
        size_t size = line_size(data, end);
        if (size > UINT32_MAX)
            return size;
        put_u32(out, 0);
        put_u32(out + 4, (uint32_t)size);
        memcpy(out + 8, data, size);
        out += 8 + size;
        data += size;
    }
    return 0;
}

PyObject *kvproto_frame_lines(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    if (kvproto_check_count("frame_lines", n_args, 1) != 0 ||
        PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    size_t n_bytes = (size_t)view.len;
    PyThreadState *released = release_gil(&view);
    size_t n_lines = count_lines(view.buf, n_bytes);
    take_gil(released);
    PyObject *frames = n_lines > ((size_t)PY_SSIZE_T_MAX - n_bytes) / 8
                           ? PyErr_NoMemory()
                           : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(n_bytes + 8 * n_lines));
    size_t too_large = 0;
    if (frames != NULL) {
        char *out = PyBytes_AsString(frames);
        released = release_gil(&view);
        too_large = write_framed_lines(view.buf, n_bytes, out);
        take_gil(released);
    }
    PyBuffer_Release(&view);
    if (too_large != 0) {
        Py_CLEAR(frames);
        PyErr_Format(PyExc_ValueError,
                     "a line has %zu bytes, but an item can have at most 4294967295", too_large);
    }
    return frames == NULL ? NULL : Py_BuildValue("(Nn)", frames, (Py_ssize_t)n_lines);
}

/* Append each line to the list. Returns 0, or -1 with an exception set. */
static int append_lines(PyObject *lines, const char *data, size_t n_bytes, int is_text)
{
    const char *end = data + n_bytes;
    while (data < end) {
        size_t size = line_size(data, end);
        PyObject *line = is_text ? PyUnicode_DecodeUTF8(data, (Py_ssize_t)size, "surrogateescape")
                                 : PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
        int failed = line == NULL || PyList_Append(lines, line) != 0;
        Py_XDECREF(line);
        if (failed)
            return -1;
        data += size;
    }
    return 0;
}

PyObject *kvproto_split_lines(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t n_args)
{
    Py_buffer view;
    if (kvproto_check_count("split_lines", n_args, 2) != 0)
        return NULL;
    int is_text = PyObject_IsTrue(args[1]);
    if (is_text < 0 || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) != 0)
        return NULL;
    PyObject *lines = PyList_New(0);
    if (lines != NULL && append_lines(lines, view.buf, (size_t)view.len, is_text) != 0)
        Py_CLEAR(lines);
    PyBuffer_Release(&view);
    return lines;
}
