/* witness.c: says of every process of a program who serves its malloc.
 *
 * Preloaded behind the allocator, into each process that the program starts. Before main
 * it asks the linker, as every call of the program will be answered, which object malloc
 * and C++'s operator new come from, and adds a line to the file that
 * ALLOCPHASE_WITNESS names:
 *
 *     <pid> TAB <object of malloc> TAB <object of operator new, or -> TAB <program> LF
 *
 * A process without a line was not reached: it is linked statically, gained privileges,
 * or was not given LD_PRELOAD. The file is there before; the witness makes none, and
 * says nothing where it is not.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEW "_Znwm" /* operator new(unsigned long) */
#define LINE_BYTES 3072

typedef void *behind(const char *function);

/* An executable at a fixed address that takes the function's address has a symbol of it, which
 * leads to a jump into the one that serves. */
static bool is_jump_of_executable(void *address) {
  Dl_info info;
  ElfW(Sym) *symbol = NULL;
  return dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) && symbol &&
         symbol->st_shndx == SHN_UNDEF;
}

/* The first one behind the executable, in the order in which the linker looks. */
static void *defined_behind(const char *function) {
  for (const struct link_map *object = _r_debug.r_map; object; object = object->l_next) {
    void *handle = object->l_name[0] ? dlopen(object->l_name, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    void *address = handle ? dlsym(handle, function) : NULL;
    Dl_info info;
    bool is_here = address && dladdr(address, &info) && info.dli_fbase == (void *)object->l_addr;
    if (handle) dlclose(handle);
    if (is_here) return address;
  }
  return NULL;
}

static void *first_of(const char *function) {
  void *address = dlsym(RTLD_DEFAULT, function);
  return address && is_jump_of_executable(address) ? defined_behind(function) : address;
}

/* What counts calls hands them on (preload/count.h): who serves is who stands behind it. */
static void *server_of(const char *function) {
  void *address = first_of(function);
  behind *of_counter;
  *(void **)&of_counter = dlsym(RTLD_DEFAULT, "allocphase_count_behind");
  Dl_info found, counter;
  if (!of_counter || !address || !dladdr(address, &found)) return address;
  bool is_counter = dladdr((void *)of_counter, &counter) && found.dli_fbase == counter.dli_fbase;
  return is_counter ? of_counter(function) : address;
}

static const char *object_of(const char *function) {
  Dl_info info;
  void *address = server_of(function);
  return address && dladdr(address, &info) && info.dli_fname[0] ? info.dli_fname : "-";
}

__attribute__((constructor)) static void bear_witness(void) {
  char line[LINE_BYTES], program[1024];
  const char *file = getenv("ALLOCPHASE_WITNESS");
  int fd = file ? open(file, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW) : -1;
  if (fd < 0) return;
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length > 0 ? length : 0] = '\0';
  int bytes = snprintf(line, sizeof line, "%d\t%s\t%s\t%s\n", (int)getpid(), object_of("malloc"),
                       object_of(NEW), program);
  if (bytes > 0 && (size_t)bytes < sizeof line) {
    ssize_t written = write(fd, line, (size_t)bytes); /* one write: no line is torn by another */
    (void)written;
  }
  close(fd);
}
