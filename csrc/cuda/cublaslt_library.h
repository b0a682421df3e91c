// cuBLASLt as it was found while the program runs, and which products are left to it.
#pragma once

#include <atomic>
#include <string>

#include "cublaslt_api.h"

namespace onepass::cuda {

struct CublasLt : cublaslt::Functions {
  cublaslt::Context* context = nullptr;
  std::size_t version = 0;          // 130002 of 13.0.2
  std::size_t workspace_bytes = 0;  // of each stream: it decides the algorithm, so the bits
};

// Null as long as none was opened. The first one that is stays.
const CublasLt* found_cublaslt();
// Empty, or why there is none at this path.
std::string open_cublaslt(const char* path);

// From so many multiply-adds on the library is asked. To be measured on a GPU: small products, such
// as those of 512 x 784 x 64, must stay with our kernels, that of 512 x 1024 x 4096 should not.
inline constexpr int64_t kCublasLtSize = int64_t{1} << 28;
// The size in use; tests set others.
std::atomic<int64_t>& cublaslt_size();
// The one rule of who computes a product.
bool worth_cublaslt(int64_t rows, int64_t cols, int64_t depth);

// An error is kept until the thread that met it asks, as CUDA does with those of launches; the
// first one where there are several.
void keep_cublaslt_error(std::string what);
void keep_cublaslt_error(const CublasLt& library, const char* what, cublaslt::Status status);
// Null, or what went wrong since the calling thread asked last.
const char* cublaslt_error();

}  // namespace onepass::cuda
