/*
 * What the sources of the cffi module share: the limited API, and the builtins that module.c
 * exports.
 */
#ifndef KVPROTO_BUILTINS_H
#define KVPROTO_BUILTINS_H

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

/*
 * The signature of each builtin: METH_FASTCALL. Its arguments are those of its reference, all
 * positional.
 */
typedef PyObject *kvproto_builtin(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

kvproto_builtin kvproto_scan_pairs, kvproto_scan_lists, kvproto_pack_pairs; /* pairs.c */
kvproto_builtin kvproto_frame_lines, kvproto_split_lines;                   /* lines.c */
kvproto_builtin kvproto_sum_pairs;                                          /* sums.c */
kvproto_builtin kvproto_flat_map;                                           /* flat_map.c */
kvproto_builtin kvproto_deal_pairs;                                         /* deal.c */
kvproto_builtin kvproto_pack_typed, kvproto_unpack_typed;                   /* typed.c */
kvproto_builtin kvproto_deal_typed;                                         /* typed_deal.c */

/* Returns 0, or -1 with a TypeError set if the number of arguments is wrong. */
int kvproto_check_count(const char *name, Py_ssize_t n_given, Py_ssize_t n_wanted);

#endif
