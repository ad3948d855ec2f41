/* count.c: liballocphase-count.so, a preload that counts a program's calls of malloc and its kin.
 *
 *     LD_PRELOAD=/path/liballocphase-count.so:/path/of/the/allocator.so
 *     ALLOCPHASE_CALLS=/path/of/the/table          made by the harness; see counted.h
 *
 * It stands before the allocator under test, counts each call of the program's by kind, and hands
 * it on to the next of that name: the allocator's, or libc's. What those call themselves, such as
 * libstdc++'s operator new its malloc, is not the program's and not counted again.
 *
 * How much the program holds is told in *usable* bytes, those that malloc_usable_size says of a
 * block when it is handed out and when it is freed: to know what was asked for a block that is
 * freed, each would need a header, which changes the sizes that the allocator is asked for, or a
 * table of all of them. The total of what was asked for is exact.
 *
 * Where the program itself, or a library, maps anonymous memory, the bytes are added up: that is
 * how an allocator shows that malloc does not lead to.
 */
#include "preload/count.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct next count_next;
bool count_is_known;

/* ---- Who is next ------------------------------------------------------------------------------ */

static _Thread_local bool is_looking __attribute__((tls_model("initial-exec")));
static uintptr_t allocator_start, allocator_end; /* the addresses of its object */

/* Through void*, as POSIX reads the result of dlsym. */
#define LOOK_UP(name) *(void **)&count_next.name = dlsym(RTLD_NEXT, #name)

static int keep_addresses(struct dl_phdr_info *object, size_t bytes, void *data) {
  uintptr_t inside = (uintptr_t)data, start = UINTPTR_MAX, end = 0;
  (void)bytes;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t first = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
    if (first < start) start = first;
    if (first + object->dlpi_phdr[i].p_memsz > end) end = first + object->dlpi_phdr[i].p_memsz;
  }
  if (inside < start || inside >= end) return 0;
  allocator_start = start;
  allocator_end = end;
  return 1;
}

static bool is_of_allocator(uintptr_t address) {
  return address >= allocator_start && address < allocator_end;
}

static void look_up_all(void) {
  LOOK_UP(malloc);
  LOOK_UP(calloc);
  LOOK_UP(realloc);
  LOOK_UP(reallocarray);
  LOOK_UP(free);
  LOOK_UP(aligned_alloc);
  LOOK_UP(posix_memalign);
  LOOK_UP(memalign);
  LOOK_UP(valloc);
  LOOK_UP(pvalloc);
  LOOK_UP(malloc_usable_size);
  dl_iterate_phdr(keep_addresses, (void *)(uintptr_t)count_next.malloc);
  /* Another one's would read a header that is not there. */
  if (!is_of_allocator((uintptr_t)count_next.malloc_usable_size) ||
      !is_of_allocator((uintptr_t)count_next.free))
    counted_process->usable_unknown = 1;
}

/* By the first call, before there is a second thread. What the look-up itself asks for is the
 * bootstrap's, and not counted. */
bool count_look_up(void) {
  if (is_looking) return false;
  int error = errno;
  is_looking = true;
  look_up_all();
  is_looking = false;
  __atomic_store_n(&count_is_known, true, __ATOMIC_RELEASE);
  errno = error;
  return true;
}

__attribute__((constructor)) static void look_up_before_main(void) { count_is_ready(); }

/* dlsym tells who asks by where it returns to: that must not be this function's caller. */
/* Within a call, as it were: dlerror's texts are not the program's. */
void *count_next_of(void **kept, const char *name) {
  void *found = __atomic_load_n(kept, __ATOMIC_RELAXED);
  if (found != NULL) return found == kept ? NULL : found;
  int error = errno;
  bool is_outer = count_enter();
  found = dlsym(RTLD_NEXT, name);
  while (found == NULL && dlerror() != NULL) continue;
  if (is_outer) count_leave();
  __atomic_store_n(kept, found == NULL ? (void *)kept : found, __ATOMIC_RELAXED);
  errno = error;
  return found;
}

/* Within a call, likewise. */
EXPORTED void *allocphase_count_behind(const char *function) {
  bool is_outer = count_enter();
  void *volatile found = dlsym(RTLD_NEXT, function);
  while (found == NULL && dlerror() != NULL) continue;
  if (is_outer) count_leave();
  return found;
}

/* ---- ISO C ------------------------------------------------------------------------------------ */

EXPORTED void *malloc(size_t size) {
  if (!count_is_ready()) return bootstrap_new(0, size);
  if (!count_enter()) return count_next.malloc(size);
  void *block = count_next.malloc(size);
  count_got(COUNTED_MALLOC, block, size);
  count_leave();
  return block;
}

EXPORTED void *calloc(size_t count, size_t size) {
  if (!count_is_ready()) return bootstrap_new(0, count * size); /* zeroed; libc's own asks for little */
  if (!count_enter()) return count_next.calloc(count, size);
  void *block = count_next.calloc(count, size);
  count_got(COUNTED_CALLOC, block, count * size);
  count_leave();
  return block;
}

/* A block of the bootstrap's that grows moves to the allocator. */
static void *move_from_bootstrap(void *block, size_t size) {
  size_t had = bootstrap_usable_size(block);
  void *moved = count_is_ready() ? count_next.malloc(size) : bootstrap_new(0, size);
  if (moved == NULL) return NULL;
  memcpy(moved, block, had < size ? had : size);
  bootstrap_free(block);
  return moved;
}

/* `had`: usable before. Without a block now it was freed, by a size of 0, or is still there. */
static void *count_resized(enum counted_kind kind, void *moved, int64_t had, size_t size) {
  counted_call(kind, moved == NULL ? 0 : size);
  if (moved != NULL) counted_live(count_usable(moved) - had);
  else if (size == 0) counted_live(-had);
  return moved;
}

EXPORTED void *realloc(void *block, size_t size) {
  if (bootstrap_contains(block) || !count_is_ready())
    return block == NULL ? bootstrap_new(0, size) : move_from_bootstrap(block, size);
  if (!count_enter()) return count_next.realloc(block, size);
  int64_t had = block == NULL ? 0 : count_usable(block);
  void *moved = count_resized(COUNTED_REALLOC, count_next.realloc(block, size), had, size);
  count_leave();
  return moved;
}

EXPORTED void free(void *block) {
  if (block == NULL) return;
  if (bootstrap_contains(block)) {
    bootstrap_free(block);
  } else if (!count_enter()) {
    count_next.free(block);
  } else {
    count_given(COUNTED_FREE, block);
    count_next.free(block);
    count_leave();
  }
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  if (!count_is_ready()) return bootstrap_new(alignment, size);
  if (!count_enter()) return count_next.aligned_alloc(alignment, size);
  void *block = count_next.aligned_alloc(alignment, size);
  count_got(COUNTED_ALIGNED_ALLOC, block, size);
  count_leave();
  return block;
}

/* C23's two, which few have: who has none of them has a free. */
EXPORTED void free_sized(void *block, size_t size) {
  typedef void next_one(void *, size_t);
  NEXT(next_one *, next, "free_sized");
  if (block == NULL) return;
  bool is_outer = count_enter();
  if (is_outer) count_given(COUNTED_FREE_SIZED, block);
  if (next != NULL) next(block, size);
  else count_next.free(block);
  if (is_outer) count_leave();
}

EXPORTED void free_aligned_sized(void *block, size_t alignment, size_t size) {
  typedef void next_one(void *, size_t, size_t);
  NEXT(next_one *, next, "free_aligned_sized");
  if (block == NULL) return;
  bool is_outer = count_enter();
  if (is_outer) count_given(COUNTED_FREE_SIZED, block);
  if (next != NULL) next(block, alignment, size);
  else count_next.free(block);
  if (is_outer) count_leave();
}

/* ---- POSIX, BSD and glibc ---------------------------------------------------------------------- */

/* A size beyond all numbers is for who is next to refuse. */
EXPORTED void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  bool is_beyond = __builtin_mul_overflow(count, size, &bytes);
  if (!is_beyond && (bootstrap_contains(block) || !count_is_ready())) return realloc(block, bytes);
  if (!count_enter()) return count_next.reallocarray(block, count, size);
  int64_t had = block == NULL ? 0 : count_usable(block);
  void *moved = count_next.reallocarray(block, count, size);
  count_resized(COUNTED_REALLOCARRAY, moved, had, is_beyond ? SIZE_MAX : bytes);
  count_leave();
  return moved;
}

EXPORTED int posix_memalign(void **result, size_t alignment, size_t size) {
  if (!count_is_ready()) {
    *result = bootstrap_new(alignment, size);
    return *result == NULL ? ENOMEM : 0;
  }
  if (!count_enter()) return count_next.posix_memalign(result, alignment, size);
  int error = count_next.posix_memalign(result, alignment, size);
  count_got(COUNTED_POSIX_MEMALIGN, error == 0 ? *result : NULL, size);
  count_leave();
  return error;
}

EXPORTED void *memalign(size_t alignment, size_t size) {
  if (!count_is_ready()) return bootstrap_new(alignment, size);
  if (!count_enter()) return count_next.memalign(alignment, size);
  void *block = count_next.memalign(alignment, size);
  count_got(COUNTED_MEMALIGN, block, size);
  count_leave();
  return block;
}

static void *of_pages(enum counted_kind kind, void *(*next)(size_t), size_t size) {
  if (!count_enter()) return next(size);
  void *block = next(size);
  count_got(kind, block, size);
  count_leave();
  return block;
}

EXPORTED void *valloc(size_t size) {
  if (!count_is_ready()) return bootstrap_new((size_t)sysconf(_SC_PAGESIZE), size);
  return of_pages(COUNTED_VALLOC, count_next.valloc, size);
}

EXPORTED void *pvalloc(size_t size) {
  if (!count_is_ready()) return bootstrap_new((size_t)sysconf(_SC_PAGESIZE), size);
  return of_pages(COUNTED_PVALLOC, count_next.pvalloc, size);
}

EXPORTED size_t malloc_usable_size(void *block) {
  if (bootstrap_contains(block)) return bootstrap_usable_size(block);
  if (!count_is_ready()) return 0;
  if (!count_enter()) return count_next.malloc_usable_size(block);
  counted_call(COUNTED_USABLE_SIZE, 0);
  size_t bytes = count_next.malloc_usable_size(block);
  count_leave();
  return bytes;
}

/* ---- Memory that others map ---------------------------------------------------------------------- */

static void *map(void *address, size_t bytes, int access, int flags, int fd, off_t offset) {
  long found = syscall(SYS_mmap, address, bytes, access, flags, fd, offset);
  return found == -1 ? MAP_FAILED : (void *)found;
}

/* libc's own mappings, of stacks and files, do not come by here. */
EXPORTED void *mmap(void *address, size_t bytes, int access, int flags, int fd, off_t offset) {
  bool is_own = (flags & MAP_ANONYMOUS) && !counted_caller.inside && !is_looking &&
                !is_of_allocator((uintptr_t)__builtin_return_address(0));
  void *found = map(address, bytes, access, flags, fd, offset);
  if (is_own && found != MAP_FAILED) {
    counted_thread();
    counted_add(&counted_process->own_mapped_bytes, bytes);
  }
  return found;
}

EXPORTED void *mmap64(void *address, size_t bytes, int access, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));
