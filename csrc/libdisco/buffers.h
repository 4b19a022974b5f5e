/*
 * What libdisco knows of the C library's own buffers of stdin and stdout, and nothing else does.
 *
 * The classic layer reads and writes through stdio, so that a program may use stdin and stdout
 * itself before it. To flush only when a read would block it must know what the buffers hold, which
 * C does not say. glibc and musl tell, each in its way; for any other C library the answers are
 * "nothing known" and the callers take the way that is right without: flush before every read, and
 * leave the writing to stdio. -DDISCO_PLAIN_STDIO builds that for any C library, which is how it is
 * tested.
 */
#ifndef DISCO_BUFFERS_H
#define DISCO_BUFFERS_H

#include <stddef.h>
#include <stdio.h>

#if defined(DISCO_PLAIN_STDIO)
#elif defined(__GLIBC__)
#define DISCO_GLIBC 1
#include <stdio_ext.h>
#elif defined(__linux__) && !defined(__ANDROID__) && !defined(__UCLIBC__)
#define DISCO_MUSL 1 /* which has no macro of its own */
#include <stdio_ext.h>
#endif

/* Is it known what stdout's buffer holds? */
#if defined(DISCO_GLIBC)
enum { KNOWS_STDOUT = 1 };
#else
enum { KNOWS_STDOUT = 0 };
#endif

/* The bytes that stdin's buffer holds unread, *n_bytes of them: valid until the next read. */
static inline const char *stdin_buffered(size_t *n_bytes)
{
#if defined(DISCO_GLIBC)
    *n_bytes = (size_t)(stdin->_IO_read_end - stdin->_IO_read_ptr);
    return stdin->_IO_read_ptr;
#elif defined(DISCO_MUSL)
    *n_bytes = __freadahead(stdin);
    return *n_bytes ? __freadptr(stdin, n_bytes) : NULL;
#else
    *n_bytes = 0;
    return NULL;
#endif
}

/* Take n_bytes of those as read. */
static inline void stdin_skip(size_t n_bytes)
{
#if defined(DISCO_GLIBC)
    stdin->_IO_read_ptr += n_bytes;
#elif defined(DISCO_MUSL)
    __freadptrinc(stdin, n_bytes);
#else
    (void)n_bytes;
#endif
}

/*
 * Where the next *room bytes of output may be put, to be followed by stdout_advance(). 0: go
 * through fwrite().
 */
static inline char *stdout_space(size_t *room)
{
#if defined(DISCO_GLIBC)
    ptrdiff_t left =
        stdout->_IO_write_end - stdout->_IO_write_ptr; /* negative when line-buffered */
    *room = left > 0 ? (size_t)left : 0;
    return stdout->_IO_write_ptr;
#else
    *room = 0;
    return NULL;
#endif
}

static inline void stdout_advance(size_t n_bytes)
{
#if defined(DISCO_GLIBC)
    stdout->_IO_write_ptr += n_bytes;
#else
    (void)n_bytes;
#endif
}

/* The bytes that stdout's buffer holds unwritten. */
static inline const char *stdout_pending(size_t *n_bytes)
{
#if defined(DISCO_GLIBC)
    *n_bytes = (size_t)(stdout->_IO_write_ptr - stdout->_IO_write_base);
    return stdout->_IO_write_base;
#else
    *n_bytes = 0;
    return NULL;
#endif
}

/* Forget them: they have been written, or never can be. */
static inline void stdout_forget(void)
{
#if defined(DISCO_GLIBC) || defined(DISCO_MUSL)
    __fpurge(stdout);
#endif
}

/* Would fwrite() of n_bytes to stdout, now empty, stay in the buffer? */
static inline int stdout_holds(size_t n_bytes)
{
#if defined(DISCO_GLIBC)
    return !__flbf(stdout) && n_bytes < __fbufsize(stdout);
#else
    (void)n_bytes;
    return 1;
#endif
}

/* Has nothing been read from or written to the stream yet? Only then its buffer can be replaced. */
static inline int is_unused(FILE *stream)
{
#if defined(DISCO_GLIBC)
    return stream->_IO_buf_base == NULL;
#else
    (void)stream;
    return 0;
#endif
}

#endif
