// recorded_operators: each form of new and delete once, with a size of its own; a failure that
// throws and one that does not, where an argument asks for them; an object whose constructor throws.
#include <cstdlib>
#include <new>
#include <unistd.h>

static const std::align_val_t wide{256};
static const std::size_t huge = std::size_t(1) << 62;

struct thrower {
  char bytes[500];
  thrower() { throw 1; }
};

int main(int count, char **) {
  operator delete(operator new(101));
  operator delete(operator new(102, std::nothrow), std::nothrow);
  operator delete(operator new(103), 103);
  operator delete(operator new(104, wide), wide);
  operator delete(operator new(105, wide, std::nothrow), wide, std::nothrow);
  operator delete(operator new(106, wide), 106, wide);
  operator delete[](operator new[](201));
  operator delete[](operator new[](202, std::nothrow), std::nothrow);
  operator delete[](operator new[](203), 203);
  operator delete[](operator new[](204, wide), wide);
  operator delete[](operator new[](205, wide, std::nothrow), wide, std::nothrow);
  operator delete[](operator new[](206, wide), 206, wide);
  operator delete(static_cast<void *>(nullptr));
  if (count > 1) {
    try {
      operator delete(operator new(huge));
      return 1;
    } catch (const std::bad_alloc &) {
    }
    if (operator new(huge, std::nothrow) != nullptr) return 1;
  }
  try {
    delete new thrower;
    return 1;
  } catch (int) {
  }
  _exit(0);
}
