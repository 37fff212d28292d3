/* Downloads one URL over many connections at once, and says of each when its first byte came.
 *
 *     crowd ADDRESS PORT PATH CLIENTS SECONDS
 *
 * prints a line for each client: status, microseconds from its connect to the first byte of the
 * body, microseconds to the last byte, bytes of the body. A client that isn't done when SECONDS
 * are over, or whose answer broke off, has status 0. IPv4, plain HTTP, answers with a length.
 *
 * Why a program of its own: curl takes more time over a thousand connections than the server under
 * test, and ab begins with one connection and adds the others when that one has its answer.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Some connections are begun, then answers are taken: who began first isn't kept waiting by us. */
enum { HEAD_BYTES = 8192, READ_BYTES = 262144, EVENTS = 1024, BEGUN_AT_ONCE = 16 };

struct client {
    int socket, status, is_done;
    int64_t started, first, last;       /* microseconds */
    int64_t body, length;               /* bytes; the length is -1 until the head is complete */
    size_t head_size;
    char head[HEAD_BYTES + 1];
};

static char request[4096], buffer[READ_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void begin(struct client *client, const struct sockaddr_in *address, int poll)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    client->length = -1;
    client->started = now();
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->socket < 0)
        die("socket");
    if (connect(client->socket, (const struct sockaddr *)address, sizeof *address) && errno != EINPROGRESS)
        die("connect");
    if (epoll_ctl(poll, EPOLL_CTL_ADD, client->socket, &event))
        die("epoll_ctl");
}

static void finish(struct client *client)
{
    if (client->body != client->length)
        client->status = 0;
    client->is_done = 1;
    close(client->socket);
}

static void ask(struct client *client, int poll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    size_t size = strlen(request);
    if (send(client->socket, request, size, MSG_NOSIGNAL) != (ssize_t)size)
        finish(client);
    else if (epoll_ctl(poll, EPOLL_CTL_MOD, client->socket, &event))
        die("epoll_ctl");
}

/* Takes what came into the head, until it is complete; gives how much of it was body. */
static size_t take_head(struct client *client, size_t size)
{
    size_t room = HEAD_BYTES - client->head_size, taken = size < room ? size : room;
    memcpy(client->head + client->head_size, buffer, taken);
    client->head_size += taken;
    client->head[client->head_size] = 0;
    char *end = memmem(client->head, client->head_size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t body_in_head = client->head_size - (size_t)(end + 4 - client->head);
    *end = 0;
    char *length = strcasestr(client->head, "\r\ncontent-length:");
    client->length = length ? strtoll(length + 17, NULL, 10) : 0;
    sscanf(client->head, "HTTP/1.%*d %d", &client->status);
    return body_in_head + (size - taken);
}

static void take(struct client *client)
{
    ssize_t size = read(client->socket, buffer, sizeof buffer);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        finish(client);
        return;
    }
    size_t body = client->length < 0 ? take_head(client, (size_t)size) : (size_t)size;
    if (body && !client->body)
        client->first = now() - client->started;
    client->body += (int64_t)body;
    if (client->length >= 0 && client->body >= client->length) {
        client->last = now() - client->started;
        finish(client);
    }
}

int main(int count, char **arguments)
{
    if (count != 6) {
        fprintf(stderr, "usage: crowd ADDRESS PORT PATH CLIENTS SECONDS\n");
        return 2;
    }
    int clients = atoi(arguments[4]), open = clients, begun = 0, poll = epoll_create1(0);
    int64_t deadline = now() + (int64_t)atoi(arguments[5]) * 1000000;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
    if (clients < 1 || poll < 0 || inet_pton(AF_INET, arguments[1], &address.sin_addr) != 1)
        die("arguments");
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n",
             arguments[3], arguments[1], arguments[2]);
    struct client *all = calloc((size_t)clients, sizeof *all);
    if (all == NULL)
        die("calloc");
    while (open > 0 && now() < deadline) {
        for (int i = 0; i < BEGUN_AT_ONCE && begun < clients; i++)
            begin(&all[begun++], &address, poll);
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poll, events, EVENTS, begun < clients ? 0 : 1000);
        for (int i = 0; i < ready; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                ask(client, poll);
            else
                take(client);
            open -= client->is_done;
        }
    }
    for (int i = 0; i < clients; i++)
        printf("%d %lld %lld %lld\n", all[i].is_done ? all[i].status : 0, (long long)all[i].first,
               (long long)all[i].last, (long long)all[i].body);
    return 0;
}
