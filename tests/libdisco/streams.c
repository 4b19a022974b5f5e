/*
 * Test the streams of libdisco, one at a time and in threads.
 *
 *     streams echo IN OUT [IN OUT ...]   echo each input to its output, in a thread for each
 *     streams calls IN OUT CALL ...      make the calls on one stream, then close it
 *
 * IN and OUT are descriptors. For each call or thread, a line on stdout has the status and the
 * error.
 */
#define _POSIX_C_SOURCE 200809L
#include <disco.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct echo {
    int input, output;
    disco_status status;
    char error[400];
};

static void *echo(void *argument)
{
    struct echo *echo = argument;
    p_entry *key = NULL, *value = NULL;
    disco_stream *stream = disco_stream_open(echo->input, echo->output);
    if (stream == NULL) {
        echo->status = DISCO_IO;
        return NULL;
    }
    while ((echo->status = disco_stream_read_pair(stream, &key, &value)) == DISCO_OK) {
        echo->status = disco_stream_begin_list(stream, 1);
        if (echo->status == DISCO_OK)
            echo->status =
                disco_stream_write_pair(stream, key->data, key->len, value->data, value->len);
        if (echo->status != DISCO_OK)
            break;
    }
    snprintf(echo->error, sizeof echo->error, "%s", disco_stream_error(stream));
    disco_status closed = disco_stream_close(stream);
    if (closed != DISCO_OK)
        echo->status = closed;
    free(key);
    free(value);
    return NULL;
}

static int echo_all(int n_streams, char **descriptors)
{
    enum { MOST = 8 };
    struct echo echoes[MOST];
    pthread_t threads[MOST];
    if (n_streams > MOST)
        return 2;
    for (int n = 0; n < n_streams; n++) {
        echoes[n] = (struct echo){.input = atoi(descriptors[2 * n]),
                                  .output = atoi(descriptors[2 * n + 1])};
        if (pthread_create(&threads[n], NULL, echo, &echoes[n]) != 0)
            return 2;
    }
    for (int n = 0; n < n_streams; n++) {
        pthread_join(threads[n], NULL);
        printf("%d %s\n", (int)echoes[n].status, echoes[n].error);
    }
    return 0;
}

static disco_status show_params(disco_stream *stream)
{
    disco_params *params;
    disco_status status = disco_stream_read_params(stream, &params);
    if (status == DISCO_OK)
        for (size_t n = 0; n < disco_params_count(params); n++)
            printf("%s=%s ", disco_params_name(params, n)->data,
                   disco_params_value(params, n)->data);
    disco_params_free(params);
    return status;
}

static disco_status call(disco_stream *stream, const char *name, const char *text)
{
    static p_entry *key, *value;
    char raw[100] = "";
    disco_status status = DISCO_OK;
    if (strcmp(name, "read") == 0) {
        status = disco_stream_read_pair(stream, &key, &value);
        if (status == DISCO_OK)
            printf("%s=%s ", key->data, value->data);
    } else if (strcmp(name, "params") == 0) {
        status = show_params(stream);
    } else if (strcmp(name, "raw") == 0) {
        status = disco_stream_read_raw(stream, raw, (size_t)atoi(text));
        if (status == DISCO_OK)
            printf("%s ", raw);
    } else if (strcmp(name, "list") == 0) {
        status = disco_stream_begin_list(stream, (uint32_t)strtoul(text, NULL, 10));
    } else if (strcmp(name, "pair") == 0) {
        status = disco_stream_write_pair(stream, text, 1, text + 1, strlen(text + 1));
    } else if (strcmp(name, "size") == 0) { /* rejected before any byte is read */
        status = disco_stream_write_pair(stream, "", 0, "", (size_t)strtoull(text, NULL, 10));
    } else if (strcmp(name, "flush") == 0) {
        status = disco_stream_flush(stream);
    } else if (strcmp(name, "max") == 0) {
        disco_stream_set_max_item(stream, (uint32_t)strtoul(text, NULL, 10));
    } else {
        exit(2);
    }
    if (name[0] == 'r' && status != DISCO_OK) { /* the caller still owns the entries */
        free(key);
        free(value);
        key = value = NULL;
    }
    return status;
}

static int call_all(char **arguments)
{
    disco_stream *stream = disco_stream_open(atoi(arguments[0]), atoi(arguments[1]));
    if (stream == NULL) {
        perror("disco_stream_open");
        return 3;
    }
    for (char **argument = arguments + 2; *argument != NULL; argument++) {
        char *text = strchr(*argument, ':');
        if (text != NULL)
            *text++ = '\0';
        disco_status status = call(stream, *argument, text);
        printf("%s %d %s\n", *argument, (int)status, disco_stream_error(stream));
    }
    printf("close %d\n", (int)disco_stream_close(stream));
    return 0;
}

int main(int argc, char **argv)
{
    if (disco_stream_close(NULL) != DISCO_OK)
        return 2;
    if (argc >= 4 && argc % 2 == 0 && strcmp(argv[1], "echo") == 0)
        return echo_all((argc - 2) / 2, argv + 2);
    if (argc >= 4 && strcmp(argv[1], "calls") == 0)
        return call_all(argv + 2);
    return 2;
}
