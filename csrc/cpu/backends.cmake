# How the kernels are compiled: the one place that holds their flags. Included by the package's
# CMakeLists.txt and by tests/native, after project(). Sets ONEPASS_ISAS and ONEPASS_BACKENDS and
# makes the targets onepass_flags and onepass_<isa>.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

option(ONEPASS_WERROR "Treat warnings as errors" OFF)
option(ONEPASS_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

add_library(onepass_flags INTERFACE)
target_compile_options(onepass_flags INTERFACE -Wall -Wextra)
if(ONEPASS_WERROR)
  target_compile_options(onepass_flags INTERFACE -Werror)
endif()
if(ONEPASS_SANITIZE)
  target_compile_options(onepass_flags INTERFACE -fsanitize=address,undefined
                                                 -fno-sanitize-recover=undefined
                                                 -fno-omit-frame-pointer -g1)
  target_link_options(onepass_flags INTERFACE -fsanitize=address,undefined)
endif()

# One object per instruction set, all from the same source. Contraction is off so that elementwise
# results are equal on all of them; products ask for fused multiply-adds explicitly. Nothing in a
# kernel throws: without exceptions no build of it asks for their library, and no table is needed
# for how to unwind it.
set(ONEPASS_KERNEL_FLAGS -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -fno-exceptions
                         -fno-asynchronous-unwind-tables -Werror=missing-field-initializers
                         -Wno-psabi)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  list(REMOVE_ITEM ONEPASS_KERNEL_FLAGS -O3)
elseif(ONEPASS_SANITIZE) # -O3 with all checks takes the compiler a quarter of an hour
  list(REMOVE_ITEM ONEPASS_KERNEL_FLAGS -O3)
  list(APPEND ONEPASS_KERNEL_FLAGS -O1)
endif()

# The same names as in dispatch.cpp.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(ONEPASS_ISAS avx512 avx2 baseline)
  set(ONEPASS_FLAGS_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  set(ONEPASS_FLAGS_avx2 -march=x86-64-v3)
  set(ONEPASS_FLAGS_baseline -march=x86-64)
  if("-O3" IN_LIST ONEPASS_KERNEL_FLAGS) # for processors before 2013: a fifth smaller
    list(APPEND ONEPASS_FLAGS_baseline -O2 -ftree-vectorize -fvect-cost-model=dynamic)
  endif()
else()
  set(ONEPASS_ISAS neon)
  set(ONEPASS_FLAGS_neon)
endif()

# With all checks a set takes the compiler five minutes, and the sources are the same.
if(ONEPASS_SANITIZE AND "avx2" IN_LIST ONEPASS_ISAS)
  set(ONEPASS_ISAS avx2)
endif()

option(ONEPASS_FIBERS "Also build the GPU's kernels for the CPU, for tests" OFF)
set(ONEPASS_BACKENDS)
foreach(isa IN LISTS ONEPASS_ISAS)
  add_library(onepass_${isa} OBJECT ${CMAKE_CURRENT_LIST_DIR}/backend.cpp)
  target_compile_definitions(onepass_${isa} PRIVATE ONEPASS_ISA=${isa})
  target_include_directories(onepass_${isa} PRIVATE ${CMAKE_CURRENT_LIST_DIR}) # for csrc/loops
  target_compile_options(onepass_${isa} PRIVATE ${ONEPASS_KERNEL_FLAGS} ${ONEPASS_FLAGS_${isa}})
  target_link_libraries(onepass_${isa} PRIVATE onepass_flags)
  list(APPEND ONEPASS_BACKENDS $<TARGET_OBJECTS:onepass_${isa}>)
endforeach()

# The same kernels as on a GPU, each of their threads a fiber; and what of CUDA starts them.
if(ONEPASS_FIBERS)
  set(tests ${CMAKE_CURRENT_LIST_DIR}/../../tests/cuda)
  set(cuda ${CMAKE_CURRENT_LIST_DIR}/../cuda)
  add_library(onepass_fibers OBJECT ${tests}/tables.cpp ${tests}/fibers.cpp ${tests}/runtime.cpp
                                    ${cuda}/cublaslt.cpp ${cuda}/cublaslt_library.cpp
                                    ${tests}/cublaslt_exported.cpp)
  target_include_directories(onepass_fibers PRIVATE ${cuda} ${tests})
  target_compile_definitions(onepass_fibers PRIVATE ONEPASS_ISA=cuda)
  target_compile_options(onepass_fibers PRIVATE ${ONEPASS_KERNEL_FLAGS} -O1)
  target_link_libraries(onepass_fibers PRIVATE onepass_flags)
  list(APPEND ONEPASS_BACKENDS $<TARGET_OBJECTS:onepass_fibers> ${tests}/backend.cpp)
endif()
