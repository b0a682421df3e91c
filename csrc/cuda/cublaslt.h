// Products that cuBLASLt computes.
#pragma once

#include "../team.h"
#include "cublaslt_library.h"

namespace onepass::cuda {

// Element (i, k) of an operand, i along the result and k along the depth, at data[i * stride + k]
// where `along`, else at data[k * stride + i].
struct CublasLtOperand {
  const void* data;
  int64_t size, stride;  // size: of i
  bool along;
};

enum class CublasLtEnd { kNone, kBias, kBiasGradient };

// to = left right, or to += left right; row-major. Its rows are left's i, its columns right's.
struct CublasLtProduct {
  bool float64;
  int64_t depth;
  CublasLtOperand left, right;
  void* to;
  int64_t stride;
  bool accumulate = false;
  CublasLtEnd end = CublasLtEnd::kNone;
  void* bias = nullptr;  // kBias: added to each row; kBiasGradient: gets the sum of right over k
};

// Behind what was started on the team's stream before. False: the library offers nothing for such
// a product, or it failed, which is kept for `cublaslt_error`: nothing was started.
bool start_cublaslt(const CublasLtProduct& product, const onepass::Team& team);
// How many were started so far.
int64_t cublaslt_products();
// A new stream of ours keeps a work area, once it needs one.
void own_cublaslt_workspace(void* stream);
// Gives back the stream's work area, once nothing is at work there; before the stream is closed.
void forget_cublaslt_workspace(void* stream);

}  // namespace onepass::cuda
