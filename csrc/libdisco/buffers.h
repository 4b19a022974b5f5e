/*
 * What libdisco knows about the C library's own buffers. No other file knows anything.
 *
 * libdisco reads and writes through stdio, so that a program may use stdin and stdout too. To flush
 * only when a read would block, libdisco must know what the buffers hold, and ISO C has no function
 * for that. The build chooses one of three ways:
 *
 *   DISCO_STDIO_GLIBC   the pointers inside glibc's FILE
 *   DISCO_STDIO_MUSL    the functions that musl has for this in <stdio_ext.h>; input only
 *   neither             any C library: nothing is known. Then libdisco flushes before every read
 *                       and leaves all writing to stdio
 *
 * csrc/meson.build takes one of the first two only where probe_stdio.c, which tries them out,
 * compiles and runs.
 */
#ifndef DISCO_BUFFERS_H
#define DISCO_BUFFERS_H

#include <stddef.h>
#include <stdio.h>

#if defined(DISCO_STDIO_GLIBC) || defined(DISCO_STDIO_MUSL)
#include <stdio_ext.h>
enum { KNOWS_INPUT = 1 };
#else
enum { KNOWS_INPUT = 0 };
#endif

#if defined(DISCO_STDIO_GLIBC)
enum { KNOWS_OUTPUT = 1 };
#else
enum { KNOWS_OUTPUT = 0 };
#endif

/* The *n_bytes unread bytes in the buffer of the input. They are valid until the next read. */
static inline const char *input_buffered(FILE *input, size_t *n_bytes)
{
#if defined(DISCO_STDIO_GLIBC)
    *n_bytes = (size_t)(input->_IO_read_end - input->_IO_read_ptr);
    return input->_IO_read_ptr;
#elif defined(DISCO_STDIO_MUSL)
    *n_bytes = __freadahead(input);
    return *n_bytes ? __freadptr(input, n_bytes) : NULL;
#else
    (void)input;
    *n_bytes = 0;
    return NULL;
#endif
}

/* Mark n_bytes of them as read. */
static inline void input_skip(FILE *input, size_t n_bytes)
{
#if defined(DISCO_STDIO_GLIBC)
    input->_IO_read_ptr += n_bytes;
#elif defined(DISCO_STDIO_MUSL)
    __freadptrinc(input, n_bytes);
#else
    (void)input;
    (void)n_bytes;
#endif
}

/*
 * Where the next *room bytes of output go; call output_advance() afterwards. If *room is 0, write
 * with fwrite().
 */
static inline char *output_space(FILE *output, size_t *room)
{
#if defined(DISCO_STDIO_GLIBC)
    /* it is negative for a line-buffered stream */
    ptrdiff_t left = output->_IO_write_end - output->_IO_write_ptr;
    *room = left > 0 ? (size_t)left : 0;
    return output->_IO_write_ptr;
#else
    (void)output;
    *room = 0;
    return NULL;
#endif
}

static inline void output_advance(FILE *output, size_t n_bytes)
{
#if defined(DISCO_STDIO_GLIBC)
    output->_IO_write_ptr += n_bytes;
#else
    (void)output;
    (void)n_bytes;
#endif
}

/* The *n_bytes unwritten bytes in the buffer of the output. */
static inline const char *output_pending(FILE *output, size_t *n_bytes)
{
#if defined(DISCO_STDIO_GLIBC)
    *n_bytes = (size_t)(output->_IO_write_ptr - output->_IO_write_base);
    return output->_IO_write_base;
#else
    (void)output;
    *n_bytes = 0;
    return NULL;
#endif
}

/* Drop these bytes: they have been written, or never can be. */
static inline void output_forget(FILE *output)
{
#if defined(DISCO_STDIO_GLIBC) || defined(DISCO_STDIO_MUSL)
    __fpurge(output);
#else
    (void)output;
#endif
}

/* Would n_bytes passed to fwrite() stay in the buffer of the output, which is empty now? */
static inline int output_holds(FILE *output, size_t n_bytes)
{
#if defined(DISCO_STDIO_GLIBC)
    return !__flbf(output) && n_bytes < __fbufsize(output);
#else
    (void)output;
    (void)n_bytes;
    return 1;
#endif
}

/* Is the stream known to be unused? Only then can its buffer be replaced. */
static inline int is_unused(FILE *stream)
{
#if defined(DISCO_STDIO_GLIBC)
    return stream->_IO_buf_base == NULL;
#else
    (void)stream;
    return 0;
#endif
}

#endif
