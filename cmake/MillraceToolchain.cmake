# Language level, warnings, sanitizers, and the fast tools (ccache, mold) when they are installed.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Without the first two ccache does not take part where headers are precompiled; without the others not in what is
  # compiled in the second in which CMake wrote the list of headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Warnings stop the build with the compiler that every change is tested with. A newer one may warn of more, and that is no
# reason for a stranger's build to fail.
add_compile_options(-Wall -Wextra)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\.")
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-restrict)  # misfires on "literal" + std::string in GCC 12 (GCC bug 105651)
endif()
if(MILLRACE_SANITIZE)
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
  # GCC's flow warnings misfire on sanitizer-instrumented standard library code.
  add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-restrict)
  if(MILLRACE_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-tsan)  # Asio has fences, which the sanitizer does not model; its locks are enough
  endif()
endif()

if(MILLRACE_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "MILLRACE_BUILD_FUZZERS needs clang for libFuzzer; scripts/fuzz.sh sets it up")
  endif()
  # Findings end the run. Warnings are judged by the compiler the product is built with.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer -g1 -Wno-error -Wno-unknown-warning-option)
  add_link_options(-fsanitize=address,undefined)
endif()

# Every include is written from the root of the tree.
include_directories(${CMAKE_CURRENT_SOURCE_DIR})
