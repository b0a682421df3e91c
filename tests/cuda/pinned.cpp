// A malloc from pinned memory, which a GPU reaches at the same addresses: preloaded, so that tests
// hand arrays of the host to kernels of a GPU. Until onepass_pinned_start() is called, and for what
// CUDA itself asks for meanwhile, it is the C library's. ONEPASS_PINNED_BYTES: how much there is.
#include <dlfcn.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
}

namespace {

constexpr std::size_t kLine = 64;
constexpr int kSteps = 4, kClasses = 64 * kSteps;  // sizes of a class: at most a quarter apart

// Before each block; a free one names the next of its class.
struct alignas(kLine) Header {
  std::size_t size_class, usable;
  void* next_free;
};

std::mutex mutex;
char *arena = nullptr, *end_of_arena = nullptr, *unused = nullptr;
void* free_blocks[kClasses];

bool is_ours(const void* p) { return p >= arena && p < end_of_arena; }

// The bytes of a class: powers of two and three sizes between them.
std::size_t bytes_of(std::size_t size_class) {
  const std::size_t power = std::size_t{kLine} << (size_class / kSteps);
  return power + power / kSteps * (size_class % kSteps);
}

std::size_t class_of(std::size_t bytes) {
  std::size_t found = 0;
  while (bytes_of(found) < bytes) ++found;
  return found;
}

Header* header_of(void* p) { return static_cast<Header*>(p) - 1; }

void* take(std::size_t bytes) {
  const std::size_t size_class = class_of(bytes + (bytes == 0));
  const std::size_t whole = (bytes_of(size_class) + kLine - 1) / kLine * kLine;
  const std::lock_guard lock(mutex);
  if (void* p = free_blocks[size_class]) {
    free_blocks[size_class] = header_of(p)->next_free;
    return p;
  }
  if (whole + sizeof(Header) > static_cast<std::size_t>(end_of_arena - unused)) return nullptr;
  auto* header = reinterpret_cast<Header*>(unused);
  unused += sizeof(Header) + whole;
  *header = {size_class, whole, nullptr};
  return header + 1;
}

// A block with room for the alignment; what the caller gets has a header of its own, whose class
// points back.
constexpr std::size_t kAligned = kClasses;

void* take_aligned(std::size_t alignment, std::size_t bytes) {
  if (alignment <= kLine) return take(bytes);
  char* block = static_cast<char*>(take(bytes + alignment));
  if (block == nullptr) return nullptr;
  const auto at = reinterpret_cast<std::uintptr_t>(block);
  char* p = block + ((at + alignment) / alignment * alignment - at);  // at least a header behind
  *header_of(p) = {kAligned, bytes, block};
  return p;
}

void give_back(void* p) {
  Header* header = header_of(p);
  if (header->size_class == kAligned) {
    p = header->next_free;
    header = header_of(p);
  }
  const std::lock_guard lock(mutex);
  header->next_free = free_blocks[header->size_class];
  free_blocks[header->size_class] = p;
}

void* or_no_memory(void* p) {
  if (p == nullptr) errno = ENOMEM;
  return p;
}

}  // namespace

extern "C" {

// Takes memory from one block by `allocate`, which returns 0 for success, from now on; false where
// there is none. Without `allocate` the block is not pinned: for tests of this file.
bool onepass_pinned_start(int (*allocate)(void** memory, std::size_t bytes)) {
  if (arena != nullptr) return true;
  const char* wanted = std::getenv("ONEPASS_PINNED_BYTES");
  const std::size_t bytes = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 6ull << 30;
  void* memory = nullptr;
  if (allocate == nullptr) {
    memory = __libc_memalign(4096, bytes);
  } else if (allocate(&memory, bytes) != 0) {
    std::fprintf(stderr, "pinned: %zu bytes cannot be had\n", bytes);
    return false;
  }
  unused = static_cast<char*>(memory);
  end_of_arena = unused + bytes;
  arena = unused;
  return memory != nullptr;
}

void* malloc(std::size_t bytes) {
  return arena == nullptr ? __libc_malloc(bytes) : or_no_memory(take(bytes));
}

void free(void* p) {
  if (p == nullptr) return;
  is_ours(p) ? give_back(p) : __libc_free(p);
}

void* calloc(std::size_t n, std::size_t size) {
  if (arena == nullptr) return __libc_calloc(n, size);
  std::size_t bytes = 0;
  void* p = __builtin_mul_overflow(n, size, &bytes) ? nullptr : take(bytes);
  return p == nullptr ? or_no_memory(p) : std::memset(p, 0, bytes);
}

void* realloc(void* old, std::size_t bytes) {
  if (old == nullptr) return malloc(bytes);
  if (!is_ours(old)) return __libc_realloc(old, bytes);
  const std::size_t had = header_of(old)->usable;
  if (bytes <= had && bytes > had / 2) return old;
  void* p = or_no_memory(take(bytes));
  if (p == nullptr) return p;
  std::memcpy(p, old, had < bytes ? had : bytes);
  give_back(old);
  return p;
}

void* memalign(std::size_t alignment, std::size_t bytes) {
  return arena == nullptr ? __libc_memalign(alignment, bytes)
                          : or_no_memory(take_aligned(alignment, bytes));
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) { return memalign(alignment, bytes); }
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  *memory = memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
std::size_t malloc_usable_size(void* p) {
  if (p == nullptr) return 0;
  if (is_ours(p)) return header_of(p)->usable;
  static auto* real =
      reinterpret_cast<std::size_t (*)(void*)>(dlsym(RTLD_NEXT, "malloc_usable_size"));
  return real(p);
}

}  // extern "C"
