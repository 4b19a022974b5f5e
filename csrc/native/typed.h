/*
 * How a pair of objects is said in a frame: the key as its bytes, the value as a letter for its
 * type and its bytes. For pack_typed, unpack_typed and deal_typed of
 * kvproto/protocol/reference.py.
 */
#ifndef KVPROTO_TYPED_H
#define KVPROTO_TYPED_H

#include "builtins.h"

#include <stddef.h>

/* A value: its letter, and its bytes, which belong to the object or are in `number`. */
typedef struct typed_value {
    char letter;
    const void *data;
    size_t n_bytes;
    unsigned char number[8];
} typed_value;

/* The bytes of a str, or of a bytes object. NULL if it is neither, without an exception. */
const char *kvproto_bytes_of(PyObject *object, PyTypeObject *type, Py_ssize_t *size);

/* Returns whether there is a letter for the value. */
int kvproto_read_typed(PyObject *value, typed_value *typed);

#endif
