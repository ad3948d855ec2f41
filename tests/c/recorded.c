/* recorded: makes known calls of malloc, in the way that its argument names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile sink;

static void *seen(void *block) { return sink = block; }

/* ---- Each function ------------------------------------------------------------------------- */

static void all_functions(void) {
  char *a = seen(malloc(100)), *b = seen(calloc(7, 30)), *c = seen(calloc(1, 5));
  void *p = NULL;
  a = seen(realloc(a, 5000));
  c = seen(realloc(NULL, 44));
  b = seen(reallocarray(b, 10, 40));
  if (posix_memalign(&p, 64, 640) != 0) abort();
  free(p);
  free(seen(aligned_alloc(128, 256)));
  free(seen(memalign(4096, 10)));
  free(seen(valloc(11)));
  free(seen(pvalloc(12)));
  if (malloc_usable_size(a) < 5000 || malloc_usable_size(NULL) != 0) abort();
  free(NULL);
  volatile size_t most = SIZE_MAX / 2;
  errno = 0;
  if (malloc(most) != NULL || errno != ENOMEM || calloc(most, 3) != NULL) abort();
  if (realloc(a, most) != NULL || reallocarray(a, most, 3) != NULL) abort();
  volatile size_t none = 0;
  if (realloc(c, none) != NULL) abort();
  errno = 77;
  free(a);
  free(b);
  if (errno != 77) abort();
  volatile size_t wide = (size_t)5 << 30;
  free(seen(malloc(wide)));
}

/* ---- Times -------------------------------------------------------------------------------- */

static void malloc_and_free(int times) {
  for (int i = 0; i < times; i++) free(seen(malloc(48)));
}

static void *more_of_them(void *given) {
  malloc_and_free(2000);
  return given;
}

/* More than the events that all have their times, a pause, reallocs; then with another thread. */
static void times(void) {
  malloc_and_free(5000);
  usleep(30000);
  malloc_and_free(5000);
  void *block = malloc(10);
  for (size_t i = 1; i < 200; i++) block = seen(realloc(block, 64 * i));
  free(block);
  pthread_t thread;
  if (pthread_create(&thread, NULL, more_of_them, NULL) != 0) abort();
  malloc_and_free(2000);
  pthread_join(thread, NULL);
}

/* ---- Threads ------------------------------------------------------------------------------- */

static void *few_calls(void *given) {
  free(given); /* another thread's */
  void *kept = malloc(33);
  for (int i = 0; i < 5; i++) free(seen(malloc(16)));
  return kept;
}

static void threads(int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, few_calls, malloc(24)) != 0) abort();
    if (pthread_join(thread, &result) != 0) abort();
    free(result);
  }
}

static pthread_key_t late_key;

static void late(void *block) {
  static __thread int rounds;
  free(block);
  if (++rounds < 4) pthread_setspecific(late_key, malloc(50));
}

static void *with_late_frees(void *nothing) {
  pthread_setspecific(late_key, malloc(50));
  return nothing;
}

static void late_frees(void) {
  pthread_t thread;
  pthread_key_create(&late_key, late);
  if (pthread_create(&thread, NULL, with_late_frees, NULL) != 0) abort();
  pthread_join(thread, NULL);
}

static void *busy(void *nothing) {
  for (int i = 0; i < 20000; i++) {
    char *blocks[20];
    for (int j = 0; j < 20; j++) blocks[j] = malloc((size_t)(i * 7 + j) % 900);
    for (int j = 0; j < 20; j++) free(blocks[j]);
  }
  return nothing;
}

static void many_busy(void) {
  pthread_t all[4];
  for (int i = 0; i < 4; i++) pthread_create(&all[i], NULL, busy, NULL);
  for (int i = 0; i < 4; i++) pthread_join(all[i], NULL);
}

/* One thread allocates, another frees, without a pause: what is freed is given out again. */
static void *volatile slot[64];

static void *free_all(void *nothing) {
  for (int i = 0; i < 200000;) {
    void *block = __atomic_exchange_n(&slot[i % 64], NULL, __ATOMIC_ACQ_REL);
    if (block == NULL) sched_yield();
    else i++;
    free(block);
  }
  return nothing;
}

static void hand_over(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, free_all, NULL);
  for (int i = 0; i < 200000; i++) {
    void *block = i % 3 == 0 ? realloc(malloc(10), 40) : malloc(40);
    while (__atomic_load_n(&slot[i % 64], __ATOMIC_ACQUIRE) != NULL) sched_yield();
    __atomic_store_n(&slot[i % 64], block, __ATOMIC_RELEASE);
  }
  pthread_join(thread, NULL);
}

/* ---- Processes ------------------------------------------------------------------------------ */

static void expect_end(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) abort();
}

static void forked(void) {
  void *before = malloc(1000), *kept = malloc(2000);
  pid_t child = fork();
  if (child == 0) {
    free(before);
    free(seen(malloc(3000)));
    _exit(0);
  }
  expect_end(child);
  free(kept);
}

/* Past pthread_atfork. */
static void raw_fork(void) {
  void *before = malloc(1000);
  pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    free(seen(malloc(3000)));
    _exit(0);
  }
  expect_end(child);
  free(before);
}

static void forked_among_threads(void) {
  pthread_t all[2];
  for (int i = 0; i < 2; i++) pthread_create(&all[i], NULL, busy, NULL);
  for (int i = 0; i < 20; i++) forked();
  for (int i = 0; i < 2; i++) pthread_join(all[i], NULL);
}

static char *true_arguments[] = {"true", NULL};

static void run_by_vfork(void) {
  pid_t child = vfork();
  if (child == 0) {
    execvp("true", true_arguments);
    _exit(1);
  }
  expect_end(child);
}

static void spawned(void) {
  free(seen(malloc(10)));
  for (int i = 0; i < 10; i++) {
    pid_t child;
    if (posix_spawnp(&child, "true", NULL, NULL, true_arguments, environ) != 0) abort();
    expect_end(child);
    run_by_vfork();
  }
  free(seen(malloc(20)));
}

static void executed(const char *self) {
  sink = malloc(100);
  execl(self, self, "all", (char *)NULL);
  abort();
}

/* ---- Signals ------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void handle(int number) {
  (void)number;
  free(seen(malloc(77)));
  handled++;
}

/* A handler that interrupts free or malloc itself may not call them: it interrupts what comes
 * in between only, raised at every place in turn. */
static void signals(void) {
  signal(SIGUSR1, handle);
  for (int i = 0; i < 1000; i++) {
    void *block = malloc(55);
    raise(SIGUSR1);
    free(block);
  }
}

/* Between any two instructions: needs a malloc that a handler may call (counter.c, BUMP). */
static void alarms(void) {
  struct itimerval often = {{0, 100}, {0, 100}};
  signal(SIGALRM, handle);
  setitimer(ITIMER_REAL, &often, NULL);
  while (handled < 2000) free(seen(realloc(malloc(55), 66)));
  signal(SIGALRM, SIG_IGN);
}

static void libraries(const char *path) {
  for (int i = 0; i < 200; i++) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL) abort();
    void *(*run)(void) = NULL;
    *(void **)&run = dlsym(library, "run");
    if (run != NULL && run() == NULL) abort();
    if (dlclose(library) != 0) abort();
  }
}

static void calls(long count) {
  for (long i = 0; i < count; i++) free(seen(malloc((size_t)(i % 5000))));
}

/* ---- What no program should do -------------------------------------------------------------- */

/* Random bytes over the recorder's memory, a little at a time. */
static void scribble(const char *seed) {
  char line[512];
  char *start = NULL;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "memfd:allocphase-recorder") != NULL) start = (char *)strtoull(line, NULL, 16);
  fclose(maps);
  srandom((unsigned)atoi(seed));
  for (int i = 0; start != NULL && i < 2000; i++) {
    size_t within = (size_t)random() % 3 == 0 ? 20000 : (size_t)16 << 20;
    start[(size_t)random() % within] = (char)random();
    if (i % 10 == 0) free(seen(malloc(100)));
  }
}

/* ---- Ends ---------------------------------------------------------------------------------- */

static void end(const char *how) {
  calls(1000);
  if (strcmp(how, "exit") == 0) exit(0);
  if (strcmp(how, "_exit") == 0) _exit(0);
  if (strcmp(how, "kill") == 0) raise(SIGKILL);
  if (strcmp(how, "segv") == 0) raise(SIGSEGV);
  abort();
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "", *more = count > 2 ? arguments[2] : "";
  if (strcmp(what, "all") == 0) all_functions();
  else if (strcmp(what, "times") == 0) times();
  else if (strcmp(what, "threads") == 0) threads(atoi(more));
  else if (strcmp(what, "late") == 0) late_frees();
  else if (strcmp(what, "busy") == 0) many_busy();
  else if (strcmp(what, "hand-over") == 0) hand_over();
  else if (strcmp(what, "fork") == 0) forked();
  else if (strcmp(what, "raw-fork") == 0) raw_fork();
  else if (strcmp(what, "threaded-fork") == 0) forked_among_threads();
  else if (strcmp(what, "spawn") == 0) spawned();
  else if (strcmp(what, "exec") == 0) executed(arguments[0]);
  else if (strcmp(what, "signals") == 0) signals();
  else if (strcmp(what, "alarms") == 0) alarms();
  else if (strcmp(what, "libraries") == 0) libraries(more);
  else if (strcmp(what, "calls") == 0) calls(atol(more));
  else if (strcmp(what, "scribble") == 0) scribble(more);
  else if (strcmp(what, "end") == 0) end(more);
  else if (strcmp(what, "nothing") != 0) return 2;
  _exit(0);
}
