// recorded_plugin: a library that brings C++ into a program without it.
#include <new>

struct block {
  char bytes[321];
};

extern "C" void *run() {
  void *seen = new block;
  delete static_cast<block *>(seen);
  try {
    seen = operator new(~std::size_t(0) / 2 + 1 - 4096);
  } catch (const std::bad_alloc &) {
    return seen;
  }
  return nullptr;
}
