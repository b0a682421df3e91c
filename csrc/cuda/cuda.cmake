# The GPU's kernels as a module of their own, which nvcc compiles. Included by the package's
# CMakeLists.txt.
# They compile for a minute each and architecture.
set(ONEPASS_CUDA AUTO CACHE STRING "Build the GPU's kernels: AUTO (where nvcc 13 is found), ON or OFF")
set_property(CACHE ONEPASS_CUDA PROPERTY STRINGS AUTO ON OFF)
# Real code for these, and for later ones what the driver compiles.
set(ONEPASS_CUDA_ARCHITECTURES "80-real;86-real;89-real;90-real;100-real;120"
    CACHE STRING "Architectures of GPUs that the kernels are compiled for")

option(ONEPASS_DEVICE_TESTS "Also offer the GPU's kernels as an instruction set, for tests on a GPU" OFF)

# Leaves out the GPU's kernels, or fails where they were asked for.
function(onepass_no_cuda why)
  if(ONEPASS_CUDA STREQUAL "AUTO")
    message(STATUS "No CUDA kernels: ${why}")
  else()
    message(FATAL_ERROR "ONEPASS_CUDA=${ONEPASS_CUDA}, but ${why}")
  endif()
endfunction()

set(ONEPASS_HAS_CUDA FALSE)
if(NOT ONEPASS_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "ONEPASS_CUDA must be AUTO, ON or OFF, got ${ONEPASS_CUDA}")
elseif(NOT ONEPASS_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    onepass_no_cuda("nvcc was not found: put it on PATH or set CUDACXX")
  else()
    set(CMAKE_CUDA_ARCHITECTURES ${ONEPASS_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
      onepass_no_cuda("nvcc ${CMAKE_CUDA_COMPILER_VERSION} is older than 13")
    else()
      set(ONEPASS_HAS_CUDA TRUE)
    endif()
  endif()
endif()

if(ONEPASS_HAS_CUDA)
  set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
  find_package(CUDAToolkit REQUIRED)
  # One object a type: they compile for minutes. As on the CPU nothing is contracted, and denormals
  # of float are flushed.
  # CMake 3.25 would ask nvcc for the same standard, and does not know how.
  set(standard ${CMAKE_CXX_STANDARD})
  unset(CMAKE_CXX_STANDARD)
  unset(CMAKE_CXX_STANDARD_REQUIRED)
  unset(CMAKE_CXX_EXTENSIONS)
  add_library(onepass_cuda OBJECT csrc/cuda/float32.cu csrc/cuda/float64.cu)
  set(CMAKE_CXX_STANDARD ${standard})
  set(CMAKE_CXX_STANDARD_REQUIRED ON)
  set(CMAKE_CXX_EXTENSIONS OFF)
  target_include_directories(onepass_cuda PRIVATE csrc/cuda) # for csrc/loops
  target_compile_definitions(onepass_cuda PRIVATE ONEPASS_ISA=cuda)
  target_compile_options(onepass_cuda PRIVATE -std=c++20 -fmad=false -ftz=true
                                              --expt-relaxed-constexpr)
  if(ONEPASS_WERROR)
    target_compile_options(onepass_cuda PRIVATE "SHELL:-Werror all-warnings")
  endif()
  if(ONEPASS_DEVICE_TESTS)
    if(ONEPASS_FIBERS)
      message(FATAL_ERROR "ONEPASS_DEVICE_TESTS and ONEPASS_FIBERS: one build offers one of them")
    endif()
    target_compile_definitions(onepass_cuda PRIVATE ONEPASS_DEVICE_TESTS)
    target_sources(onepass_cuda PRIVATE tests/cuda/device.cu)
    set_property(SOURCE csrc/cpu/dispatch.cpp APPEND PROPERTY COMPILE_DEFINITIONS
                                                            ONEPASS_DEVICE_TESTS)
    target_sources(_core PRIVATE csrc/cuda/cublaslt.cpp csrc/cuda/cublaslt_library.cpp
                                 tests/cuda/cublaslt_exported.cpp $<TARGET_OBJECTS:onepass_cuda>)
    set_source_files_properties(csrc/cuda/cublaslt.cpp csrc/cuda/cublaslt_library.cpp
                                tests/cuda/cublaslt_exported.cpp
                                PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    target_link_libraries(_core PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
    add_library(pinned SHARED tests/cuda/pinned.cpp)
    set_target_properties(pinned PROPERTIES CXX_VISIBILITY_PRESET default)
    target_link_libraries(pinned PRIVATE onepass_flags ${CMAKE_DL_LIBS})
    install(TARGETS pinned LIBRARY DESTINATION onepass)
  endif()
  pybind11_add_module(_cuda NO_EXTRAS csrc/bind/cuda_module.cpp csrc/cuda/device.cpp
                      csrc/cuda/cublaslt.cpp csrc/cuda/cublaslt_library.cpp
                      $<TARGET_OBJECTS:onepass_cuda>)
  string(REPLACE ";" "," architectures "${ONEPASS_CUDA_ARCHITECTURES}")
  target_compile_definitions(_cuda PRIVATE "ONEPASS_ARCHITECTURES=\"${architectures}\"")
  target_link_libraries(_cuda PRIVATE onepass_flags CUDA::cudart_static ${CMAKE_DL_LIBS})
  install(TARGETS _cuda LIBRARY DESTINATION onepass)
endif()

# The same module without a GPU, for tests: its kernels as fibers, and their queues on the CPU.
if(ONEPASS_FIBERS)
  pybind11_add_module(_cuda_fibers NO_EXTRAS csrc/bind/cuda_module.cpp csrc/cuda/device.cpp
                      $<TARGET_OBJECTS:onepass_fibers>)
  target_include_directories(_cuda_fibers PRIVATE tests/cuda)
  # Fibers take so much longer.
  target_compile_definitions(_cuda_fibers PRIVATE "ONEPASS_ARCHITECTURES=\"90\""
                                                  "ONEPASS_MODULE=_cuda_fibers"
                                                  "ONEPASS_PATIENCE=0.3")
  target_link_libraries(_cuda_fibers PRIVATE onepass_flags ${CMAKE_DL_LIBS})
  # What plays cuBLASLt there.
  add_library(played_cublaslt SHARED tests/cuda/played_cublaslt.cpp)
  target_include_directories(played_cublaslt PRIVATE tests/cuda)
  target_link_libraries(played_cublaslt PRIVATE onepass_flags)
  install(TARGETS _cuda_fibers played_cublaslt LIBRARY DESTINATION onepass)
endif()
