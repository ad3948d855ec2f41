/* cpuid.c: what CPUID says, as words of /proc/cpuinfo: of those by which valgrind chooses. */
#include <cpuid.h>
#include <stdio.h>

static void say(unsigned value, int bit, const char *word) {
  if (value >> bit & 1) printf("%s ", word);
}

int main(void) {
  unsigned a, b, c = 0, d = 0;
  __cpuid(1, a, b, c, d);
  say(c, 9, "ssse3");
  say(c, 13, "cx16");
  say(c, 20, "sse4.2");
  say(c, 28, "avx");
  say(c, 29, "f16c");
  say(c, 30, "rdrand");
  b = 0;
  if (__get_cpuid_max(0, NULL) >= 7) __cpuid_count(7, 0, a, b, c, d);
  say(b, 5, "avx2");
  say(b, 16, "avx512f");
  say(b, 18, "rdseed");
  return 0;
}
