/* What the programs beside this have in common: one epoll, clients of loopback. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define SIZE 64

static int ep;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(2);
}

static struct sockaddr_in loopback(unsigned address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(address);
    return a;
}

static void watch(int how, int fd, unsigned events, void *whose) {
    struct epoll_event e = {.events = events, .data.ptr = whose};
    if (epoll_ctl(ep, how, fd, &e)) die("epoll_ctl");
}
