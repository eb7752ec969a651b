/* The limit: an echo server in C over epoll, with as little in it as an honest one can have. It speaks to the runner as the
 * Python servers do: one line of JSON with its address, one with its CPU time when stdin ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 256 * 1024 };

struct connection {
    int fd;
    char *queued; /* what the peer would not take yet; NULL if nothing: then we read, otherwise we only write */
    size_t start, end;
};

static int poller;
static char buffer[BUFFER];

static void check(bool fine, const char *what) {
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static void watch(int operation, int fd, uint32_t events, void *data) {
    struct epoll_event event = {.events = events, .data.ptr = data};
    check(epoll_ctl(poller, operation, fd, &event) == 0, "epoll_ctl");
}

static void drop(struct connection *connection) {
    close(connection->fd);
    free(connection->queued);
    free(connection);
}

static void queue(struct connection *connection, const char *data, size_t length) {
    connection->queued = malloc(length);
    check(connection->queued != NULL, "malloc");
    memcpy(connection->queued, data, length);
    connection->start = 0, connection->end = length;
    watch(EPOLL_CTL_MOD, connection->fd, EPOLLOUT, connection);
}

static void echo(struct connection *connection) {
    ssize_t received = recv(connection->fd, buffer, BUFFER, 0);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        drop(connection);
        return;
    }
    ssize_t sent = send(connection->fd, buffer, (size_t)received, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        drop(connection);
    else if (sent < received)
        queue(connection, buffer + (sent > 0 ? sent : 0), (size_t)(received - (sent > 0 ? sent : 0)));
}

static void resume(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->queued + connection->start, connection->end - connection->start,
                        MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        drop(connection);
        return;
    }
    connection->start += sent > 0 ? (size_t)sent : 0;
    if (connection->start == connection->end) {
        free(connection->queued);
        connection->queued = NULL;
        watch(EPOLL_CTL_MOD, connection->fd, EPOLLIN, connection);
    }
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        check(connection != NULL, "calloc");
        connection->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, connection);
    }
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(listener, 4096) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("{\"address\": \"127.0.0.1:%u\"}\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* Any line on stdin asks for the CPU time; its end asks for it the last time. */
static bool command(void) {
    char line[256];
    struct rusage usage;
    ssize_t length = read(STDIN_FILENO, line, sizeof line);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"cpu\": %.6f}\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    fflush(stdout);
    return length > 0;
}

int main(void) {
    struct epoll_event events[EVENTS];
    poller = epoll_create1(EPOLL_CLOEXEC);
    check(poller >= 0, "epoll_create1");
    int listener = listen_on_loopback();
    static char control; /* its address stands for stdin, as NULL stands for the listener */
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &control);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        check(count >= 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL)
                accept_all(listener);
            else if (events[i].data.ptr == &control) {
                if (!command())
                    return 0;
            } else if (connection->queued != NULL)
                resume(connection);
            else
                echo(connection);
        }
    }
}
