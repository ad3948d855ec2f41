// operators: new and delete in all their forms; prints what it sees, the same with any malloc.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static const std::size_t huge = std::size_t(1) << 62;
static int handled;

static void expect(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "operators: not so: %s\n", what);
  std::exit(1);
}
#define EXPECT(condition) expect(condition, #condition)

static bool is_aligned(const void *block, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

static void each_form() {
  const auto wide = std::align_val_t(512);
  for (std::size_t size : {0u, 1u, 24u, 5000u, 300000u}) {
    void *object = operator new(size), *array = operator new[](size);
    EXPECT(object != array);
    std::memset(object, 1, size);
    std::memset(array, 2, size);
    operator delete(object);
    operator delete[](array);
    operator delete(operator new(size), size);
    operator delete[](operator new[](size), size);
    operator delete(operator new(size, std::nothrow), std::nothrow);
    operator delete[](operator new[](size, std::nothrow), std::nothrow);
    void *aligned = operator new(size, wide), *aligned_array = operator new[](size, wide);
    EXPECT(is_aligned(aligned, 512) && is_aligned(aligned_array, 512));
    operator delete(aligned, wide);
    operator delete[](aligned_array, wide);
    operator delete(operator new(size, wide), size, wide);
    operator delete[](operator new[](size, wide), size, wide);
    operator delete(operator new(size, wide, std::nothrow), wide, std::nothrow);
    operator delete[](operator new[](size, wide, std::nothrow), wide, std::nothrow);
  }
}

template <typename Allocation>
static const char *outcome(Allocation allocation) {
  try {
    return allocation() == nullptr ? "null" : "a block";
  } catch (const std::bad_alloc &) {
    return "bad_alloc";
  } catch (int) {
    return "the handler's own";
  }
}

static void without_memory(const char *handler) {
  const auto wide = std::align_val_t(64);
  std::printf("%s:", handler);
  std::printf(" %s", outcome([] { return operator new(huge); }));
  std::printf(" %s", outcome([] { return operator new[](huge); }));
  std::printf(" %s", outcome([=] { return operator new(huge, wide); }));
  std::printf(" %s", outcome([=] { return operator new[](huge, wide); }));
  std::printf(" %s", outcome([] { return operator new(huge, std::nothrow); }));
  std::printf(" %s", outcome([] { return operator new[](huge, std::nothrow); }));
  std::printf(" %s", outcome([=] { return operator new(huge, wide, std::nothrow); }));
  std::printf(" %s\n", outcome([=] { return operator new[](huge, wide, std::nothrow); }));
}

static void give_up_the_third_time() {
  if (++handled % 3 == 0) std::set_new_handler(nullptr);
}

struct alignas(128) Wide {
  char bytes[128];
};

static void library() {
  std::vector<std::string> words;
  for (int i = 0; i < 20000; i++) words.push_back("word number " + std::to_string(i));
  std::vector<Wide> wide(100);
  EXPECT(is_aligned(wide.data(), 128));
  std::size_t bytes = 0;
  std::thread other([&] {
    auto copy = std::make_unique<std::vector<std::string>>(words);
    for (const auto &word : *copy) bytes += word.size();
  });
  other.join();
  std::printf("%zu bytes\n", bytes);
}

struct Early {
  std::string text{"of a static object, long enough for memory of its own"};
} early;

int main() {
  std::puts(early.text.c_str());
  each_form();
  without_memory("no handler");
  std::set_new_handler([] { throw std::bad_alloc(); });
  without_memory("throws");
  std::set_new_handler(give_up_the_third_time);
  std::printf("%s", outcome([] { return operator new(huge); }));
  std::printf(" after %d calls\n", handled);
  std::set_new_handler(nullptr);
  library();
}
