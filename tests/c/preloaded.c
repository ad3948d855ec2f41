/* preloaded: a program that uses the whole malloc family, in every place where one may.
 *
 *     preloaded WHAT [path]
 *
 * Prints what it sees. But for `served`, any malloc that is right prints the same. What is
 * wrong ends it with a line and exit code 1.
 *
 *     calls      each function of the family, what it promises, and errno
 *     early      blocks of before main: of a constructor, and of .preinit_array, where libc's
 *                own constructor has not run yet
 *     threads    objects go round between threads; thread-specific data is freed, and asked
 *                for, by destructors of the last round
 *     fork       forks while other threads are in malloc; children allocate, and start threads
 *     dlopen     opens and closes the object at `path` from several threads
 *     counts     like threads, then what the plug-in at `path` counted (tests/c/parting.c)
 *     served     which object each function lies in, and what the preload says of itself
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 400
#define SLOTS 64
#define CHILDREN 12

/* Of C23: not every libc has them. */
__attribute__((weak)) void free_sized(void *block, size_t size);
__attribute__((weak)) void free_aligned_sized(void *block, size_t alignment, size_t size);

static void expect(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "preloaded: not so: %s\n", what);
  _exit(1);
}
#define EXPECT(condition) expect((condition) != 0, #condition)

/* ---- Before main ------------------------------------------------------------------------- */

static char *of_preinit, *of_constructor;

static void preinit(void) { of_preinit = strcpy(malloc(100), "before libc's constructor"); }

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = preinit;

__attribute__((constructor)) static void construct(void) {
  of_constructor = strcpy(calloc(10, 10), "of a constructor");
}

static void early(void) {
  EXPECT(malloc_usable_size(of_preinit) >= 100 && malloc_usable_size(of_constructor) >= 100);
  of_preinit = realloc(of_preinit, 5000);
  of_constructor = realloc(of_constructor, 5000);
  printf("%s; %s\n", of_preinit, of_constructor);
  free(of_preinit);
  free(of_constructor);
}

/* ---- Each function ---------------------------------------------------------------------------- */

static volatile size_t huge = (size_t)1 << 62; /* which the compiler would warn of */

static int is_aligned(const void *block, size_t alignment) {
  return block != NULL && (uintptr_t)block % alignment == 0;
}

static int is_zero(const char *block, size_t size) {
  return block[0] == 0 && memcmp(block, block + 1, size - 1) == 0;
}

static void blocks_of_every_size(void) {
  for (size_t size = 0; size < 300000; size += size / 3 + 1) {
    char *block = malloc(size), *other = calloc(1, size), *third = malloc(size);
    EXPECT(is_aligned(block, size > 8 ? 16 : 8) && is_aligned(other, size > 8 ? 16 : 8));
    EXPECT(block != other && block != third && malloc_usable_size(block) >= size);
    EXPECT(size < 2 || is_zero(other, size));
    memset(block, 1, malloc_usable_size(block));
    memset(other, 2, malloc_usable_size(other));
    memset(third, 3, size);
    EXPECT(size == 0 || (block[0] == 1 && block[size - 1] == 1 && other[size - 1] == 2));
    block = realloc(block, 2 * size + 1);
    EXPECT(block != NULL && (size == 0 || (block[0] == 1 && block[size - 1] == 1)));
    block = realloc(block, size / 2 + 1);
    EXPECT(block != NULL && (size == 0 || block[size / 2] == 1));
    free(block);
    free(third);
    free(other);
  }
}

static void aligned_blocks(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t alignment = 8; alignment <= 1 << 20; alignment *= 2) {
    void *of_posix = NULL, *block = aligned_alloc(alignment, 3 * alignment);
    EXPECT(posix_memalign(&of_posix, alignment, 100) == 0);
    EXPECT(is_aligned(block, alignment) && is_aligned(of_posix, alignment));
    void *of_memalign = memalign(alignment, 5);
    EXPECT(is_aligned(of_memalign, alignment) && malloc_usable_size(of_memalign) >= 5);
    strcpy(of_posix, "kept");
    of_posix = realloc(of_posix, 9000);
    EXPECT(strcmp(of_posix, "kept") == 0);
    free(of_posix);
    if (free_aligned_sized) free_aligned_sized(block, alignment, 3 * alignment);
    else free(block);
    free(of_memalign);
  }
  void *of_valloc = valloc(10), *of_pvalloc = pvalloc(10);
  EXPECT(is_aligned(of_valloc, page) && is_aligned(of_pvalloc, page));
  EXPECT(malloc_usable_size(of_pvalloc) >= page);
  free(of_valloc);
  free(of_pvalloc);
  void *of_zero = aligned_alloc(64, 0);
  EXPECT(is_aligned(of_zero, 64));
  free(of_zero);
}

static void refusals(void) {
  void *untouched = &untouched;
  errno = 0;
  EXPECT(malloc(huge) == NULL && errno == ENOMEM);
  errno = 0;
  EXPECT(calloc(huge, 8) == NULL && errno == ENOMEM);
  errno = 0;
  EXPECT(reallocarray(NULL, huge, 8) == NULL && errno == ENOMEM);
  errno = 0;
  EXPECT(pvalloc(SIZE_MAX) == NULL && errno == ENOMEM);
  errno = 7;
  EXPECT(posix_memalign(&untouched, 24, 8) == EINVAL && posix_memalign(&untouched, 4, 8) == EINVAL);
  EXPECT(errno == 7 && posix_memalign(&untouched, 64, huge) == ENOMEM && untouched == &untouched);
  char *block = strcpy(malloc(100), "kept");
  errno = 0;
  if (realloc(block, huge) != NULL) exit(1);
  EXPECT(errno == ENOMEM && strcmp(block, "kept") == 0);
  free(block);
}

static void errno_is_kept(void) {
  static const size_t sizes[] = {1, 100, 5000, 200000, 3000000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    errno = 77;
    void *block = malloc(sizes[i]), *other = calloc(1, sizes[i]);
    block = realloc(block, sizes[i] * 2);
    void *aligned = aligned_alloc(4096, sizes[i]);
    malloc_usable_size(block);
    free(block);
    free(other);
    free(aligned);
    free(NULL);
    EXPECT(errno == 77);
  }
}

static void calls(void) {
  blocks_of_every_size();
  aligned_blocks();
  refusals();
  errno_is_kept();
  EXPECT(malloc_usable_size(NULL) == 0);
  EXPECT(realloc(malloc(10), 0) == NULL);
  int *numbers = reallocarray(NULL, 1000, sizeof *numbers);
  for (int i = 0; i < 1000; i++) numbers[i] = i;
  numbers = reallocarray(numbers, 100000, sizeof *numbers);
  EXPECT(numbers[999] == 999);
  if (free_sized) free_sized(numbers, 100000 * sizeof *numbers);
  else free(numbers);
  char *text = strdup("libc's own");
  EXPECT(strcmp(text, "libc's own") == 0);
  free(text);
  puts("calls are right");
}

/* ---- Threads ----------------------------------------------------------------------------------- */

struct object {
  size_t size;
  unsigned char filled_with;
  unsigned char bytes[];
};

static _Atomic(struct object *) shared[SLOTS];
static atomic_long freed;
static pthread_key_t early_key, late_key;

static struct object *object_new(unsigned *random) {
  *random = *random * 1664525u + 1013904223u;
  size_t size = (*random >> 8) % ((*random >> 28) == 0 ? 100000 : 600);
  struct object *object = malloc(sizeof *object + size);
  EXPECT(object != NULL);
  *object = (struct object){.size = size, .filled_with = (unsigned char)(*random >> 16)};
  memset(object->bytes, object->filled_with, size);
  return object;
}

static void object_free(struct object *object) {
  if (object == NULL) return;
  for (size_t i = 0; i < object->size; i++) EXPECT(object->bytes[i] == object->filled_with);
  free(object);
  freed++;
}

/* Frees what any thread left there. */
static void go_round(unsigned seed) {
  unsigned random = seed;
  for (int i = 0; i < ROUNDS; i++) {
    struct object *object = object_new(&random);
    object_free(atomic_exchange(&shared[(random >> 4) % SLOTS], object));
  }
}

/* Comes again in each round of destructors, the last one included. */
static void free_late(void *block) {
  free(block);
  pthread_setspecific(late_key, malloc(200));
}

static void *work(void *seed) {
  pthread_setspecific(early_key, malloc(50));
  pthread_setspecific(late_key, malloc(300));
  go_round((unsigned)(uintptr_t)seed);
  return calloc(7, 11);
}

static void start(pthread_t *threads, unsigned seed) {
  for (unsigned i = 0; i < THREADS; i++)
    EXPECT(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(seed + i)) == 0);
}

static void join(pthread_t *threads) {
  for (unsigned i = 0; i < THREADS; i++) {
    void *result;
    EXPECT(pthread_join(threads[i], &result) == 0 && is_zero(result, 77));
    free(result);
  }
}

static void drain(void) {
  for (int i = 0; i < SLOTS; i++) object_free(atomic_exchange(&shared[i], NULL));
}

static void with_threads(void) {
  pthread_t threads[THREADS];
  EXPECT(pthread_key_create(&early_key, free) == 0);
  EXPECT(pthread_key_create(&late_key, free_late) == 0);
  for (unsigned generation = 0; generation < 5; generation++) {
    start(threads, 100 * generation);
    join(threads);
  }
  drain();
  printf("%ld objects went round\n", (long)freed);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static int child(unsigned seed) {
  pthread_t threads[THREADS];
  drain();
  go_round(seed);
  start(threads, seed);
  join(threads);
  drain();
  return 40;
}

static atomic_int stopping;

static void *churn(void *seed) {
  while (!stopping) go_round((unsigned)(uintptr_t)seed);
  return NULL;
}

static void with_forks(void) {
  pthread_t threads[THREADS];
  int right = 0;
  EXPECT(pthread_key_create(&early_key, free) == 0);
  EXPECT(pthread_key_create(&late_key, free_late) == 0);
  for (unsigned i = 0; i < THREADS; i++)
    EXPECT(pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)i) == 0);
  for (unsigned i = 0; i < CHILDREN; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(child(i));
    int status;
    EXPECT(waitpid(pid, &status, 0) == pid);
    right += WIFEXITED(status) && WEXITSTATUS(status) == 40;
    go_round(i);
  }
  stopping = 1;
  for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  drain();
  printf("%d of %d children were right\n", right, CHILDREN);
}

/* ---- The linker ------------------------------------------------------------------------------------ */

static const char *object_path;

static void *open_and_close(void *unused) {
  for (int i = 0; i < 20; i++) {
    void *object = dlopen(object_path, RTLD_NOW | RTLD_LOCAL);
    EXPECT(object != NULL && dlsym(object, "allocphase_plugin") != NULL);
    EXPECT(dlsym(object, "no_such_symbol") == NULL && dlerror() != NULL);
    EXPECT(dlopen("/no/such/object", RTLD_NOW) == NULL && dlerror() != NULL);
    dlclose(object);
  }
  return unused;
}

static void with_dlopen(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, open_and_close, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  puts("opened and closed");
}

static void counts(void) {
  void *plugin = dlopen(object_path, RTLD_NOW | RTLD_NOLOAD);
  EXPECT(plugin != NULL);
  long (*started)(void), (*stopped)(void);
  *(void **)&started = dlsym(plugin, "parting_started");
  *(void **)&stopped = dlsym(plugin, "parting_stopped");
  printf("threads %ld more started than stopped, at least 20: %d\n", started() - stopped(),
         stopped() >= 20);
}

static void served(void) {
  static const char *const names[] = {
      "malloc", "calloc", "realloc", "reallocarray", "free", "aligned_alloc", "posix_memalign",
      "memalign", "valloc", "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized",
      "_Znwm", "_ZdlPv",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, names[i]);
    EXPECT(function != NULL && dladdr(function, &info) != 0);
    printf("%s %s\n", names[i], info.dli_fname);
  }
  const char *(*describe)(void);
  *(void **)&describe = dlsym(RTLD_DEFAULT, "allocphase_malloc_describe");
  EXPECT(describe != NULL);
  puts(describe());
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  object_path = argc > 2 ? argv[2] : "";
  if (strcmp(what, "calls") == 0) calls();
  else if (strcmp(what, "early") == 0) early();
  else if (strcmp(what, "threads") == 0) with_threads();
  else if (strcmp(what, "fork") == 0) with_forks();
  else if (strcmp(what, "dlopen") == 0) with_dlopen();
  else if (strcmp(what, "counts") == 0) with_threads(), counts();
  else if (strcmp(what, "served") == 0) served();
  else return 2;
  return 0;
}
