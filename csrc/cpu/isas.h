// The instruction sets of this build, best first: it compiles one object of kernels for each.
#pragma once

#if defined(ONEPASS_AVX2_ALONE)
#define ONEPASS_ISAS(X) X(avx2)
#elif defined(__x86_64__)
#define ONEPASS_ISAS(X) X(avx512) X(avx2) X(baseline)
#else
#define ONEPASS_ISAS(X) X(neon)
#endif
