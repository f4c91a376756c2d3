# What most files include, compiled once: of the time that GCC needs for a file it is about a third.
#
# millrace_precompile(TARGET ...)  for libraries. millrace_test() does it for its programs, whose code is compiled
# differently. A file that is compiled with options of its own needs the property SKIP_PRECOMPILE_HEADERS.
#
# Files still include all that they use: clang-tidy reads them as they are (preset tidy).
option(MILLRACE_PRECOMPILE "Compile common headers of third parties once" ON)

set(MILLRACE_COMMON_HEADERS
  <algorithm> <atomic> <chrono> <condition_variable> <filesystem> <fstream> <functional> <map> <memory> <mutex>
  <optional> <set> <span> <sstream> <stop_token> <string> <thread> <unordered_map> <variant> <vector>
  <nlohmann/json.hpp>)

# millrace_precompiled_headers(NAME HEADER ...): a library of headers for others to reuse.
function(millrace_precompiled_headers name)
  set(nothing ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  file(CONFIGURE OUTPUT ${nothing} CONTENT "")
  add_library(${name} OBJECT ${nothing})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

if(MILLRACE_PRECOMPILE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The first as ccache wants it. The others misfire on sums of std::string then, as -Wrestrict always does.
    add_compile_options(-fpch-preprocess -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
  else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
  millrace_precompiled_headers(millrace_headers ${MILLRACE_COMMON_HEADERS})
endif()

function(millrace_precompile)
  if(MILLRACE_PRECOMPILE)
    foreach(target IN LISTS ARGN)
      target_precompile_headers(${target} REUSE_FROM millrace_headers)
    endforeach()
  endif()
endfunction()
