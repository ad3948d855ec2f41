/* caller: makes so many calls of each kind of malloc's family, in every place from which a program
 * may call and in every way in which a process may end.
 *
 *     caller PLACE N
 *
 *     main      in main
 *     threads   in each of 4 threads, and not in main
 *     fork      in a child that returns from main
 *     raw-fork  in a child that the kernel made without libc's knowledge
 *     exit      in a child that calls _exit
 *     kill      in a child that is killed by SIGKILL
 *     exec      in a child that is this program again
 *     spawn     the same by posix_spawn
 *
 * N calls of each kind: 9 that get a block, which malloc_usable_size is asked about, 8 times free
 * and once, where there is one, free_sized. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 100

extern char **environ;
__attribute__((weak)) void free_sized(void *block, size_t size);

static long count;

static void *call(void *unused) {
  (void)unused;
  for (long i = 0; i < count; i++) {
    void *blocks[8] = {
        malloc(SIZE),      calloc(SIZE, 1),    realloc(NULL, SIZE), reallocarray(NULL, SIZE, 1),
        memalign(64, SIZE), aligned_alloc(64, SIZE), valloc(SIZE),        pvalloc(SIZE),
    };
    void *last = NULL;
    if (posix_memalign(&last, 64, SIZE) != 0 || malloc_usable_size(last) < SIZE) abort();
    for (int place = 0; place < 8; place++) {
      if (blocks[place] == NULL) abort();
      free(blocks[place]);
    }
    free(NULL);
    if (free_sized) free_sized(last, SIZE);
    else free(last);
  }
  return NULL;
}

static void in_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, call, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void in_child(const char *place, char **again) {
  int is_raw = strcmp(place, "raw-fork") == 0;
  pid_t child = is_raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
  if (child > 0) waitpid(child, NULL, 0);
  if (child != 0) return;
  if (strcmp(place, "exec") == 0) execv(again[0], again);
  call(NULL);
  if (strcmp(place, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(place, "exit") == 0 || is_raw) _exit(0);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  char *again[] = {"/proc/self/exe", "main", argv[2], NULL};
  count = atol(argv[2]);
  if (strcmp(argv[1], "main") == 0) {
    call(NULL);
  } else if (strcmp(argv[1], "threads") == 0) {
    in_threads();
  } else if (strcmp(argv[1], "spawn") == 0) {
    pid_t child;
    if (posix_spawn(&child, again[0], NULL, NULL, again, environ) == 0) waitpid(child, NULL, 0);
  } else {
    in_child(argv[1], again);
  }
  return 0;
}
