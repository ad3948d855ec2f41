/* churner EVENTS: that many calls of malloc and free, with 20,000 blocks of up to 1,000 bytes live. */
#include <stdint.h>
#include <stdlib.h>

#define LIVE 20000

static void *volatile blocks[LIVE];

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  uint64_t state = 88172645463325252u;
  for (uint64_t left = strtoull(argv[1], NULL, 10) / 2; left; left--) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    uint64_t place = state % LIVE;
    free(blocks[place]);
    blocks[place] = malloc(1 + (state >> 32) % 1000);
    if (!blocks[place]) return 1;
  }
  return 0;
}
