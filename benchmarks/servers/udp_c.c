/* The limit for UDP: an echo server in C over epoll, one system call to receive and one to send. It speaks to the runner as
 * the Python servers do: one line of JSON with its address, one with its CPU time when stdin ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 65536, BATCH = 32 };

static char buffer[BUFFER];

static void check(bool fine, const char *what) {
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static void watch(int poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static int bind_to_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0, "bind");
    check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("{\"address\": \"127.0.0.1:%u\"}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

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

static void echo(int fd) {
    struct sockaddr_in peer;
    for (int i = 0; i < BATCH; i++) {
        socklen_t length = sizeof peer;
        ssize_t received = recvfrom(fd, buffer, BUFFER, 0, (struct sockaddr *)&peer, &length);
        if (received < 0)
            return;
        sendto(fd, buffer, (size_t)received, 0, (struct sockaddr *)&peer, length);
    }
}

int main(void) {
    int poller = epoll_create1(EPOLL_CLOEXEC), fd = bind_to_loopback();
    check(poller >= 0, "epoll_create1");
    watch(poller, fd);
    watch(poller, STDIN_FILENO);
    for (;;) {
        struct epoll_event event;
        int count = epoll_wait(poller, &event, 1, -1);
        check(count >= 0 || errno == EINTR, "epoll_wait");
        if (count == 1 && event.data.fd == fd)
            echo(fd);
        else if (count == 1 && !command())
            return 0;
    }
}
